"""What every reader of text files checks first, and how it locates what is wrong."""

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Literal, Protocol

from components.errors import DataError

ZIP = "a zip archive"
_ARCHIVES = {b"PK\x03\x04": ZIP, b"\x1f\x8b": "a gzip archive", b"7z\xbc\xaf": "a 7z archive"}


class DataFile(Protocol):
    """A file to read: a path, or a member of an archive. As a text it is the place that errors name."""

    @property
    def name(self) -> str:
        """The file's name without its folders."""

    def open(self, mode: Literal["rb"], /) -> BufferedReader:
        """Open the file to read its bytes."""


def describe_wrong_content(path: DataFile) -> str | None:
    """Say what a file is if its first bytes show that it holds no data: empty, an archive, a web page."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except PermissionError:
        return "no permission to read this file"
    if not head.strip():
        return "the file is empty"
    for magic, kind in _ARCHIVES.items():
        if head.startswith(magic):
            return f"this is {kind}, not data; unpack it"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "this is a web page, not data; the download saved an error or log-in page"
    if not head.strip(b"\x00"):
        return "the file is filled with zero bytes; the download was interrupted"
    return None


def check_data_file(path: Path, expected: str, line: int | None = None) -> None:
    """Raise `DataError` where there is no such file, or it shows that it holds no data; `expected` says what should.

    `line` is the line that is named where the content is wrong.
    """
    if not path.is_file():
        raise DataError(path, f"{'this is a folder' if path.is_dir() else 'no such file'}; {expected}")
    wrong = describe_wrong_content(path)
    if wrong:
        raise DataError(path, f"{wrong}; {expected}", line)


def read_lines(path: DataFile, encoding: str) -> list[str]:
    """Read the lines of a file without their ends; a `DataError` if it is not in this encoding."""
    try:
        with path.open("rb") as file:
            lines = file.read().decode(encoding).split("\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        message = f"expected {encoding.removesuffix('-sig')} text, got the byte {byte:#04x}"
        raise DataError(path, message, line) from error
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def stream_lines(path: DataFile, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank, for files that are too long for `read_lines`.

    Bytes that are not of the encoding become U+FFFD.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.decode(encoding, "replace").removesuffix("\n").removesuffix("\r")
            if text:
                yield number, text


def is_number(text: str) -> bool:
    """Whether a text is written as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
