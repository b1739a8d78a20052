import json
import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.release.registry import Registry, RegistryError, load_servable


def contents(folder: Path, value: float = 1.0) -> Path:
    folder.mkdir(parents=True)
    save_file({"weight": np.full(3, value, np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder


def aliases(registry: Registry) -> dict[str, tuple[str, ...]]:
    return {listing.name: listing.aliases for listing in registry.versions()}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def version(registry: Registry, tmp_path: Path):
    return registry.create("recommendation", contents(tmp_path / "source"), {"auc": 0.7}, {"trial": "abc"})


def test_a_version_holds_what_it_was_made_of(registry, version):
    assert version.name == "recommendation/1"
    assert version.metrics == {"auc": 0.7}
    assert version.provenance == {"trial": "abc"}
    assert {path.name for path in version.folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "metrics.json",
        "provenance.json",
        "manifest.json",
    }
    assert registry.version("recommendation/1") == version


def test_numbers_count_up_and_the_same_contents_are_the_same_version(registry, version, tmp_path):
    again = registry.create("recommendation", tmp_path / "source", {"auc": 0.7}, {"trial": "abc"})
    other = registry.create("recommendation", contents(tmp_path / "other", 2.0), {}, {})
    assert again == version
    assert other.name == "recommendation/2"
    assert other.digest != version.digest


def test_nothing_but_versions_is_left_behind(registry, version, tmp_path):
    registry.create("recommendation", tmp_path / "source", {"auc": 0.7}, {"trial": "abc"})
    with pytest.raises(ValueError):
        registry.create("recommendation", tmp_path / "source", {"auc": float("nan")}, {})
    assert [path.name for path in (registry.root / "recommendation").iterdir()] == ["1"]


def create(root: Path, source: Path) -> int:
    return Registry(root).create("recommendation", source, {}, {}).number


def test_writers_at_the_same_time_get_numbers_of_their_own(registry, tmp_path):
    sources = [contents(tmp_path / f"source{n}", n) for n in range(8)]
    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        numbers = pool.starmap(create, [(registry.root, source) for source in sources], chunksize=1)
    assert sorted(numbers) == list(range(1, 9))
    assert len({listing.digest for listing in registry.versions()}) == 8


def alter_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def alter_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.chmod(0o644)
    manifest = json.loads(path.read_text())
    manifest["files"]["config.json"] = "0" * 64
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (alter_weights, r"model.safetensors: altered since recommendation/1 was written"),
        (alter_manifest, r"manifest.json: altered"),
        (lambda folder: (folder / "config.json").unlink(), r"config.json: missing from recommendation/1"),
        (
            lambda folder: (folder / "metrics.json").unlink(),
            r"metrics.json: missing; the version is incomplete",
        ),
        (lambda folder: (folder / "manifest.json").unlink(), r"manifest.json: missing; .*incomplete"),
        (
            lambda folder: (folder / "extra.json").write_text("{}"),
            r"extra.json: not part of recommendation/1",
        ),
    ],
)
def test_a_damaged_version_is_refused(registry, version, damage, message):
    registry.set_alias("recommendation", "champion", version)
    damage(version.folder)
    for use in (
        lambda: registry.version("recommendation/1"),
        lambda: registry.alias("recommendation", "champion"),
        lambda: registry.set_alias("recommendation", "candidate", version),
    ):
        with pytest.raises(RegistryError, match=message):
            use()
    assert aliases(registry) == {"recommendation/1": ("champion",)}


def test_a_damaged_alias_file_does_not_take_the_others_down(registry, version):
    registry.set_alias("recommendation", "champion", version)
    registry.alias_path("recommendation", "candidate").write_text("")
    assert registry.alias("recommendation", "champion") == version
    with pytest.raises(RegistryError, match="candidate"):
        registry.alias("recommendation", "candidate")


def test_a_damaged_version_does_not_keep_the_model_from_being_promoted_again(registry, version, tmp_path):
    alter_weights(version.folder)
    again = registry.create("recommendation", tmp_path / "source", {"auc": 0.7}, {"trial": "abc"})
    assert again.name == "recommendation/2"
    (version.folder / "manifest.json").unlink()
    listed = {listing.name: listing.problem for listing in registry.versions()}
    assert listed["recommendation/2"] is None
    assert "manifest.json: missing" in listed["recommendation/1"]


@pytest.mark.parametrize("text", ["", "[]", '{"version": "1"}', '{"version": true}', '{"version": 99}'])
def test_a_damaged_alias_is_described_and_can_be_set_again(registry, version, text):
    registry.set_alias("recommendation", "champion", version)
    registry.alias_path("recommendation", "champion").write_text(text)
    usable, damaged = registry.versions()
    assert (usable.name, usable.problem, usable.aliases) == ("recommendation/1", None, ())
    assert damaged.name == "recommendation/champion"
    assert re.search(r"champion\.json: .*promote to the alias `champion` again", damaged.problem)
    registry.set_alias("recommendation", "champion", version)
    assert aliases(registry) == {"recommendation/1": ("champion",)}


def test_a_name_that_no_alias_can_have_is_refused(registry, version):
    with pytest.raises(RegistryError, match="'Best one': no name of an alias; expected a letter, then"):
        registry.set_alias("recommendation", "Best one", version)


def test_an_alias_that_is_a_folder_is_damaged_and_cannot_be_set(registry, version):
    registry.set_alias("recommendation", "champion", version)
    registry.alias_path("recommendation", "candidate").mkdir()
    usable, damaged = registry.versions()
    assert (usable.aliases, damaged.name) == (("champion",), "recommendation/candidate")
    said = r"candidate\.json: a folder; expected a file; delete the folder, then promote to .* again"
    assert re.search(said, damaged.problem)
    with pytest.raises(RegistryError, match=said):
        registry.alias("recommendation", "candidate")
    with pytest.raises(RegistryError, match=said):
        registry.set_alias("recommendation", "candidate", version)
    assert len(list(registry.alias_path("recommendation", "champion").parent.iterdir())) == 2


def test_aliases_move_and_are_listed(registry, version, tmp_path):
    other = registry.create("recommendation", contents(tmp_path / "other", 2.0), {}, {})
    assert registry.alias("recommendation", "champion") is None
    registry.set_alias("recommendation", "champion", version)
    registry.set_alias("recommendation", "candidate", other)
    before = registry.alias_path("recommendation", "champion").stat().st_ino
    registry.set_alias("recommendation", "champion", other)
    assert registry.alias_path("recommendation", "champion").stat().st_ino != before
    assert registry.version("recommendation/champion") == other
    assert [listing.aliases for listing in registry.versions()] == [(), ("candidate", "champion")]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("recommendation/7", r"no such version in .*; known: recommendation/1"),
        ("recommendation/champion", r"no such alias; recommendation has none yet"),
        ("captioning/1", r"no such version in .*; known: none"),
        ("recommendation", r"not a version; expected one such as"),
        ("../recommendation/1", r"not a version"),
        ("recommendation/01", r"not a version"),
    ],
)
def test_unknown_versions_are_named(registry, version, reference, message):
    with pytest.raises(RegistryError, match=message):
        registry.version(reference)


def test_what_could_carry_code_or_is_incomplete_is_refused(registry, tmp_path):
    (contents(tmp_path / "a") / "model.pkl").write_bytes(b"")
    (contents(tmp_path / "b") / "config.json").unlink()
    (contents(tmp_path / "c") / "link.json").symlink_to("config.json")
    for name, message in (
        ("a", "model.pkl: not allowed"),
        ("b", "config.json: missing"),
        ("c", "plain files"),
    ):
        with pytest.raises(RegistryError, match=message):
            registry.create("recommendation", tmp_path / name, {}, {})
    with pytest.raises(RegistryError, match=r"'\.\./escape': no name of a task; expected a letter"):
        registry.create("../escape", contents(tmp_path / "d"), {}, {})
    assert registry.versions() == []


def test_a_model_that_this_code_cannot_load_is_refused_in_words(registry, version, tmp_path):
    with pytest.raises(
        RegistryError,
        match="recommendation/1: its files are damaged, or this code does not fit them; run its sweep",
    ):
        load_servable(version)
    other = registry.create("telepathy", contents(tmp_path / "other"), {}, {})
    with pytest.raises(RegistryError, match="there is no task 'telepathy'"):
        load_servable(other)
