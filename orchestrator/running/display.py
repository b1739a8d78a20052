"""What a live view is shown on: a table that is redrawn in a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Display:
    """A place on a console; on leaving it is cleared, since whoever asked for the result prints it."""

    def __init__(self, console: "Console") -> None:
        """Show on `console`, which should be standard error."""
        self.console = console
        self.redraws = console.is_terminal
        self._live: Any = None

    def __enter__(self) -> Self:
        """Begin to show."""
        if self.redraws:
            from rich.live import Live

            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear what was shown."""
        if self._live is not None:
            self._live.stop()

    def show(self, what: "RenderableType") -> None:
        """Redraw, in a terminal."""
        self._live.update(what, refresh=True)


def bar(done: int, total: int, width: int = 12) -> str:
    """Draw how much of something is done."""
    filled = round(width * done / total) if total else width
    return "━" * filled + "╌" * (width - filled)


def clock(seconds: float) -> str:
    """Write a duration as minutes and seconds, or as hours from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def memory() -> str:
    """Write how much of this machine's memory is in use."""
    import psutil

    found = psutil.virtual_memory()
    return f"{(found.total - found.available) / 2**30:.1f} of {found.total / 2**30:.0f} GiB"
