"""Live views: redrawn in a terminal and cleared in the end, plain lines elsewhere."""

import io

from rich.console import Console

from orchestrator.running.live import LiveTable
from orchestrator.secure.live import LiveSeats
from orchestrator.spec.sweep import Objective

JOINED = {"seat": "north", "did": "has joined", "after": 1.25, "users": 7}
ADDED = {**JOINED, "did": "sums are opened", "traffic": {"rounds": 3, "bytes": 2_500_000, "seconds": 0.5}}


def shown(terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, color_system=None)
    with LiveSeats(console) as seats:
        seats.say(JOINED)
        seats.say(ADDED)
    return file.getvalue()


def test_seats_are_a_table_in_a_terminal_and_a_line_an_event_elsewhere():
    assert shown(False).splitlines() == [
        "north: has joined, 7 users",
        "north: sums are opened, 7 users; 3 rounds, 2.50 MB, 0.50 s",
    ]
    table = shown(True)
    assert "MB sent" in table and "2.50" in table and "1.2" in table


def test_a_sweep_shows_a_line_at_times_where_there_is_no_terminal():
    file = io.StringIO()
    with LiveTable(Console(file=file, width=100), Objective(metric="auc", mode="max"), "tiny") as live:
        live.tick()
        live.tick()
    assert file.getvalue().count("0 jobs done") == 1
