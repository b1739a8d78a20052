"""One event of a user, as serving receives it and as a prepared log is replayed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """What a user did with one piece of content, and what the user thought of it."""

    id: str
    """Unique; an event that arrives twice counts once."""
    user: str
    timestamp: float
    """Seconds since 1970."""
    content: str
    """Id of the item, picture or passage that the event is about."""
    kind: str
    """What happened, such as `rated`."""
    value: float
    """The feedback, from -1 (worst) to 1 (best)."""
