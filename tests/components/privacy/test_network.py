"""Seats on different addresses and in different network namespaces, as on hosts of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.components.privacy.seats import free_address, run
from tests.components.privacy.test_identity import DEAL, KNOWN, TOTAL, keys

pytestmark = pytest.mark.slow

SUBNET = "10.231.77"


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Two network namespaces with one line between them, as two hosts have."""
    if not shutil.which("ip") or os.geteuid() != 0:
        pytest.skip("network namespaces need `ip` and root")
    names = [f"adaptune-{os.getpid()}-{side}" for side in "ab"]
    ends = [f"ad{os.getpid() % 100_000}{side}" for side in "ab"]
    made = []
    try:
        try:
            for name in names:
                ip("netns", "add", name)
                made.append(name)
            ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            for host, (name, end) in enumerate(zip(names, ends, strict=True), 1):
                ip("link", "set", end, "netns", name)
                ip("-n", name, "address", "add", f"{SUBNET}.{host}/24", "dev", end)
                ip("-n", name, "link", "set", end, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except OSError as error:
            pytest.skip(f"network namespaces cannot be made here: {error}")
        yield names
    finally:
        for name in made:
            ip("netns", "delete", name)


def test_seats_in_different_network_namespaces_prove_who_they_are_and_add_up(namespaces, tmp_path):
    paths, public = keys(tmp_path)
    known = [KNOWN.format(key=str(path), public=public) for path in paths]
    here, there = (["ip", "netns", "exec", name] for name in namespaces)
    said = run(
        [known[0] + TOTAL, known[1] + TOTAL, known[2] + DEAL],
        rendezvous=f"{SUBNET}.1:29511",
        within=[here, there, here],
    )
    assert not any("failure" in seat for seat in said), said
    assert [seat.get("opened") for seat in said[:2]] == [[3], None]


def test_a_seat_that_the_others_cannot_reach_is_named(namespaces):
    """The dealer listens where party 0 does not."""
    here, there = (["ip", "netns", "exec", name] for name in namespaces)
    ip("-n", namespaces[1], "link", "set", "lo", "down")
    said = run([TOTAL, TOTAL, DEAL], timeout=6, rendezvous="127.0.0.1:29511", within=[here, there, here])
    assert said[0]["failure"] == "PartyLost" and said[0]["rank"] == 1, said
    assert said[1]["failure"] == "PartyLost" and said[1]["rank"] == 0, said


def test_the_rendezvous_may_be_any_loopback_address():
    port = free_address().rpartition(":")[2]
    said = run([TOTAL, TOTAL, DEAL], rendezvous=f"127.0.0.2:{port}")
    assert said[0]["opened"] == [3], said
