"""The same evaluation with the seats as Ray actors."""

import pytest

from tests.orchestrator.secure.conftest import Divided
from tests.orchestrator.sweeping import adaptune

pytestmark = pytest.mark.xdist_group("ray")


@pytest.mark.slow
def test_actors_open_the_same_numbers_as_processes(divided: Divided, local_ray):
    results = {}
    for run in ("local", "ray"):
        file = divided.party_file(run=run)
        call = adaptune("evaluate", divided.version, "--parties", file, "--home", divided.home, "--json")
        assert call.code == 0, call.err
        results[run] = call.document
        for ledger in divided.folder.glob("*/evaluations.json"):
            ledger.unlink()
    assert results["ray"]["groups"] == results["local"]["groups"]
    said = {part["about"]: part["text"] for part in results["ray"]["statement"]}
    assert "One Ray cluster" in said["Domain of trust"]


def test_a_pin_to_a_node_that_is_not_there_is_refused(divided: Divided, local_ray):
    file = divided.party_file(run="ray")
    file.write_text(file.read_text().replace("{data: party-2}", "{data: party-2, node: 192.0.2.1}"))
    call = adaptune("evaluate", divided.version, "--parties", file, "--home", divided.home)
    assert call.code == 2 and "pinned to the node 192.0.2.1" in call.err
