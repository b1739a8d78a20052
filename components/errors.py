"""Errors that are meant for a person: they say what is wrong, where, what was expected and what to do."""


class AdaptuneError(Exception):
    """Bad input or an unusable surrounding; the command line prints the message and exits with code 2."""


class DataError(AdaptuneError):
    """A data file is missing, truncated or malformed."""

    def __init__(self, path: object, message: str, line: int | None = None) -> None:
        """Locate `message` at `path`, whose text names the file, and at its 1-based `line` where one is to blame."""
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {message}")
        self.path = path
        self.line = line
