"""Plans, runs, records, compares and promotes experiments; the only home of Ray Tune, Ray Data and W&B."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.sweep import Sweep

__all__ = ["Sweep"]


def __getattr__(name: str) -> Any:
    """Import `Sweep` on first use, so that importing the package stays instant."""
    if name == "Sweep":
        from orchestrator.sweep import Sweep

        return Sweep
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
