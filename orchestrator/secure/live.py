"""What the seats of an evaluation are doing: a live table in a terminal, a line an event elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.running.display import Display
from orchestrator.secure.seats import Say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def shown_seats(console: "Console") -> Callable[[], AbstractContextManager[Say]]:
    """Return what opens a live view on `console` whenever seats start."""

    @contextmanager
    def show() -> Iterator[Say]:
        with LiveSeats(console) as live:
            yield live.say

    return show


class LiveSeats(Display):
    """Shows who has joined, how far each is, rounds, bytes and time."""

    def __init__(self, console: "Console") -> None:
        """Write to `console`."""
        super().__init__(console)
        self._seats: dict[str, dict[str, Any]] = {}

    def say(self, event: dict[str, Any]) -> None:
        """Show one event of one seat."""
        known = self._seats.setdefault(event["seat"], {})
        known.update(event)
        if self.redraws:
            self.show(self._table())
            return
        more = f", {event['users']} users" if "users" in event else ""
        more += f" (process {event['pid']})" if "pid" in event else ""
        more += f"; {_traffic(event['traffic'])}" if "traffic" in event else ""
        self.console.print(f"{event['seat']}: {event['did']}{more}")

    def _table(self) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("seat", "", "users", "rounds", "MB sent", "seconds"):
            table.add_column(name, justify="left" if name in ("seat", "") else "right")
        for name, known in self._seats.items():
            traffic = known.get("traffic")
            table.add_row(
                name,
                known["did"],
                str(known.get("users", "")),
                str(traffic["rounds"]) if traffic else "",
                f"{traffic['bytes'] / 1e6:.2f}" if traffic else "",
                f"{known['after']:.1f}" if "after" in known else "",
            )
        return table


def _traffic(traffic: dict[str, Any]) -> str:
    return f"{traffic['rounds']} rounds, {traffic['bytes'] / 1e6:.2f} MB, {traffic['seconds']:.2f} s"
