"""A sweep on a Ray cluster of several nodes: the code travels, and the storage is checked before anything runs."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from components.errors import AdaptuneError
from orchestrator.running.cluster import _answer_probe, check_room, ray_cluster
from orchestrator.spec.sweep import Resources
from tests.orchestrator.conftest import TINY
from tests.orchestrator.sweeping import adaptune, end, start, write_sweep

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes on this machine."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


def test_a_sweep_runs_on_a_cluster_of_two_nodes(address: str, tmp_path: Path) -> None:
    values = {**TINY, "grid": {}, "training": {"epochs": 1, "batch_size": 8}, "seeds": [0], "ablations": {}}
    sweep, home = write_sweep(tmp_path, values), tmp_path / "home"
    call = end(start("run", sweep, "--home", home, "--address", address, "--json"))
    assert (call.code, call.document["finished"], call.document["failed"]) == (0, 2, 0), call.err
    assert adaptune("compare", "tiny", "--home", home).code == 0
    assert not list(home.glob(".probe-*"))


def test_a_home_that_a_node_cannot_see_is_refused(address: str, tmp_path: Path) -> None:
    descriptor = fcntl.fcntl(os.open(tmp_path, os.O_RDONLY), fcntl.F_DUPFD_CLOEXEC, 500)
    only_here = Path(f"/proc/self/fd/{descriptor}")
    with pytest.raises(AdaptuneError, match="does not share the storage"), ray_cluster(address, only_here):
        pass
    assert not ray.is_initialized() and not list(tmp_path.iterdir())


def test_what_is_wrong_with_a_probe_is_told(tmp_path: Path) -> None:
    probe, back = tmp_path / "probe", tmp_path / "back"
    assert "No such file" in _answer_probe(str(probe), str(back), "token")
    probe.write_text("another")
    assert "another file" in _answer_probe(str(probe), str(back), "token") and not back.exists()
    probe.write_text("token")
    assert "No such file" in _answer_probe(str(probe), str(back / "below"), "token")
    assert _answer_probe(str(probe), str(back), "token") == "" and back.read_text() == "token"


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(AdaptuneError, match=r"the Ray cluster at 127\.0\.0\.1:1 cannot be joined"),
        ray_cluster("127.0.0.1:1", tmp_path),
    ):
        pass


def test_a_ray_that_does_not_start_in_time_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup")

    monkeypatch.setattr(ray, "init", init)
    with (
        pytest.raises(AdaptuneError, match="Ray cannot start on this machine: The current node timed out"),
        ray_cluster(None, tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        (Resources(cpu=3), r"a trial gets 3 processor cores \(`resources.cpu` 3\), and this machine has 2"),
        (Resources(gpu=2), r"gets 2 GPUs \("),
        (Resources(cpu=1, workers=3), r"gets 3 .* \(`resources.cpu` 1 x `resources.workers` 3\)"),
        (Resources(gpu=0.5, workers=2), r"gets 1 GPU \(`resources.gpu` 0.5 x .* and this machine has 0"),
    ],
)
def test_what_no_machine_has_room_for_is_refused(
    resources: Resources, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    check_room(Resources(cpu=1, workers=2))
    with pytest.raises(AdaptuneError, match=asked):
        check_room(resources)
