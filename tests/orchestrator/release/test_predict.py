import re
from pathlib import Path

import pandas as pd
import pytest
import ray

from components.errors import AdaptuneError
from orchestrator.release.predict import predict
from orchestrator.release.registry import Registry
from orchestrator.running.cluster import ray_cluster
from tests.serve.fakes import FakeServable, load_fake, promote


@pytest.fixture(scope="module")
def local_ray(tmp_path_factory):
    with ray_cluster(None, tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "registry")
    promote(registry, tmp_path / "version")
    return registry


@pytest.mark.parametrize(("users", "starts"), [(1, False), (101, True)])
def test_ray_is_started_for_many_users_where_none_runs(registry, tmp_path, monkeypatch, users, starts):
    started = []
    init = ray.init
    monkeypatch.setattr(ray, "init", lambda **options: started.append(True) or init(**options))
    assert not ray.is_initialized()
    (tmp_path / "users.csv").write_text("user\n" + "".join(f"u{number}\n" for number in range(users)))
    out = tmp_path / "out.csv"
    summary = predict(registry, "recommendation/1", tmp_path / "users.csv", out, load=load_fake)
    assert summary["rows"] == 10 * users
    assert not ray.is_initialized() and bool(started) == starts


def test_a_population_is_scored_in_its_order(registry, tmp_path, local_ray):
    users = ["known2", *(f"stranger{n}" for n in range(150)), "known0"]
    pd.DataFrame({"user": users}).to_csv(tmp_path / "users.csv", index=False)
    out = tmp_path / "deep" / "out.parquet"
    summary = predict(registry, "recommendation/1", tmp_path / "users.csv", out, k=3, load=load_fake)
    assert summary == {
        "version": "recommendation/1",
        "out": str(out),
        "users": 152,
        "known": 2,
        "rows": 456,
        "ignored_columns": [],
        "unknown_values": {},
    }
    frame = pd.read_parquet(out)
    assert list(frame) == ["user", "rank", "item", "title", "score", "like_probability", "known"]
    assert list(frame.user) == [user for user in users for _ in range(3)]
    assert list(frame["rank"]) == [1, 2, 3] * 152
    assert set(frame[frame.known].user) == {"known0", "known2"}
    assert not {"i2", "i3", "i4", "i5"} & set(frame[frame.user == "known2"].item)
    model = FakeServable(12)
    state = model.initial_state()
    for n in range(4):
        state = tuple(0.5 * old + ((-1 + 2 * n / 3) if genre == n else 0) for genre, old in enumerate(state))
    best = model.recommend(state, {}, 3, {"i0", "i1", "i2", "i3"})
    assert list(frame[frame.user == "known0"].item) == [item.id for item in best]
    assert list(frame[frame.user == "known0"].score) == pytest.approx([item.score for item in best])
    assert ray.is_initialized(), "a Ray that was running before is left running"


def test_profile_columns_override_and_others_are_named(registry, tmp_path, local_ray):
    table = pd.DataFrame(
        {
            "user": [7, 8, 9, 10],
            "favourite": ["western", "drama", None, "opera"],
            "height": [1.8, 1.7, 1.6, 1.5],
        }
    )
    table.to_parquet(tmp_path / "users.parquet")
    out = tmp_path / "out.csv"
    summary = predict(
        registry, "recommendation/champion", tmp_path / "users.parquet", out, k=1, load=load_fake
    )
    assert summary["ignored_columns"] == ["height"]
    assert summary["unknown_values"] == {"favourite": ["opera"]}
    frame = pd.read_csv(out, dtype={"user": str})
    assert dict(zip(frame.user, frame.item, strict=True)) == {"7": "i3", "8": "i1", "9": "i0", "10": "i0"}


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("users.csv", b"id,age\n1,2\n", "users.csv: no column `user`; found id, age"),
        ("users.csv", b"user;age\n1;2\n", "found user;age; columns are separated by commas"),
        ("users.csv", b"user,age\n1,2\n,3\n", "users.csv:3: no user in row 2"),
        ("users.csv", b"user\n", "users.csv: no users"),
        ("users.csv", b"", "users.csv: not a readable .csv table"),
        ("users.csv", b"user\n\xff\xfe\n", "users.csv: not a readable .csv table"),
        ("users.csv", b"user,age\n1,2,3\n", "users.csv: not a readable .csv table"),
        ("users.parquet", b"user\n", "users.parquet: not a readable .parquet table"),
        ("users.xlsx", b"", "users.xlsx: unknown format '.xlsx'; expected one of .csv, .parquet"),
        ("users.csv", None, "users.csv: no such file"),
    ],
)
def test_a_bad_users_file_is_described(registry, tmp_path, name, contents, message):
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(AdaptuneError, match=re.escape(message)):
        predict(registry, "recommendation/1", tmp_path / name, tmp_path / "out.csv", load=load_fake)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("version", "out", "k", "message"),
    [
        ("recommendation/9", "out.csv", 10, "no such version"),
        ("recommendation/1", "out.txt", 10, "unknown format '.txt'"),
        ("recommendation/1", "out.csv", 0, "k is 0"),
    ],
)
def test_bad_requests_are_refused_before_ray_starts(registry, tmp_path, version, out, k, message):
    (tmp_path / "users.csv").write_text("user\nada\n")
    with pytest.raises(AdaptuneError, match=message):
        predict(registry, version, tmp_path / "users.csv", tmp_path / out, k, load=load_fake)


def test_the_users_file_is_not_overwritten(registry, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text("user\nada\n")
    with pytest.raises(AdaptuneError, match="write the predictions to another file"):
        predict(registry, "recommendation/1", users, tmp_path / "." / "users.csv", load=load_fake)
    assert users.read_text() == "user\nada\n"
