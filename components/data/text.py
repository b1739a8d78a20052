"""What every reader of text files checks first, and how it locates what is wrong."""

from pathlib import Path

from components.errors import DataError

_ARCHIVES = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"7z\xbc\xaf": "a 7z archive"}


def describe_wrong_content(path: Path) -> str | None:
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


def read_lines(path: Path, encoding: str) -> list[str]:
    """Read the lines of a file without their ends; a `DataError` if it is not in this encoding."""
    try:
        lines = path.read_bytes().decode(encoding).split("\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        message = f"expected {encoding.removesuffix('-sig')} text, got the byte {byte:#04x}"
        raise DataError(path, message, line) from error
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def is_number(text: str) -> bool:
    """Whether a text is written as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
