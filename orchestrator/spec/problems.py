"""What can be wrong with a specification, with its place, in plain words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from components.errors import AdaptuneError


@dataclass(frozen=True)
class SpecError:
    """One error in a file, or in one `--set` (which has no line)."""

    path: str
    line: int | None
    column: int | None
    message: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}:{self.column}"
        return f"{place}: {self.message}"


class SpecErrors(AdaptuneError):
    """Everything that is wrong with a specification, in the order of its lines."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        """Sort `errors`, and keep one of those that say the same of the same place."""
        self.errors = sorted(
            dict.fromkeys(errors), key=lambda error: (error.path, error.line or 0, error.column or 0)
        )
        super().__init__("\n".join(str(error) for error in self.errors))


def show(value: object) -> str:
    """Write a value as a YAML file would have it, shortened to a line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a section" if value else "an empty section"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def choice(options: Sequence[str]) -> str:
    """Enumerate `options` with an "or" before the last."""
    return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"


def counted(number: float, noun: str) -> str:
    """Write a number of things: `1 trial`, `1,024 trials`, `0.5 GPUs`."""
    return f"{number:,.15g} {noun}{'' if number == 1 else 's'}"


def last_line(cause: str) -> str:
    """Return the line of a traceback that says what happened."""
    return cause.strip().splitlines()[-1] if cause.strip() else "ended without a result"


def suggest(word: str, options: Iterable[str]) -> str:
    """Say which of `options` was probably meant by `word`, and else which there are."""
    known = sorted(options)
    if not known:
        return "it holds no settings"
    meant = nearest(word, known)
    if meant:
        return f"did you mean {meant!r}?"
    return (
        f"expected {choice(known)}"
        if len(known) <= 16
        else f"expected one of {len(known)} others, such as {known[0]}"
    )


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return what was probably meant by `word`, if anything is close to it."""
    longer = [option for option in known if len(word) > 2 and option.lower().startswith(word.lower())]
    if longer:
        return min(longer, key=len)
    lowered = {option.lower(): option for option in known}
    close = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return lowered[close[0]]
    squeezed = word.lower().replace("-", "").replace("_", "")
    for option in known:
        parts = option.lower().replace("-", "_").split("_")
        if squeezed and (
            squeezed == "".join(part[:1] for part in parts) or (len(word) > 3 and word.lower() in parts)
        ):
            return option
    return None
