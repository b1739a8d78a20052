"""A zip archive as a data set was published in: checked, and read where it is. Nothing is ever unpacked."""

import hashlib
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from components.data.text import ZIP, describe_wrong_content
from components.errors import DataError

AGAIN = "download it again"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """A file inside an archive. As a text it is the archive's path and its own, divided by `/`."""

    archive: Path
    inside: str

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.inside.rpartition("/")[2]

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Read the file's bytes as they are unpacked; its checksum is compared when its end is reached.

        Raises `DataError`, here or while it is read, where the archive is damaged.
        """
        assert mode == "rb", mode
        try:
            with zipfile.ZipFile(self.archive) as archive:  # the file that is opened in it outlives it
                return io.BufferedReader(_Checked(self, archive.open(self.inside)), 1 << 20)
        except _DAMAGE as error:
            raise self.damaged(error) from error

    def __str__(self) -> str:
        return f"{self.archive}/{self.inside}"

    def damaged(self, error: Exception) -> DataError:
        """Return the error that says that the archive is damaged at this file."""
        return DataError(self, f"the archive is damaged here ({error}); {AGAIN}")


class _Checked(io.RawIOBase):
    """A stream of a member's bytes that says of damage where it is."""

    def __init__(self, member: Member, stream: IO[bytes]) -> None:
        self._member, self._stream = member, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _DAMAGE as error:
            raise self._member.damaged(error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_archive(path: Path) -> list[Member]:
    """List the files of an archive, after comparing it with the `.md5` file beside it if there is one.

    Raises `DataError` where it is no zip archive, cut off, encrypted, or not what its `.md5` file says.
    """
    what = describe_wrong_content(path)
    if what is None or ZIP not in what:
        raise DataError(path, what or f"expected {ZIP}, got something else")
    verify_checksum(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except _DAMAGE as error:
        size = path.stat().st_size
        message = f"the archive is cut off after {size:,} bytes: its list of contents, at the end, is missing"
        raise DataError(path, f"{message} ({error}); {AGAIN}") from error
    for entry in entries:
        if entry.flag_bits & 1:
            raise DataError(
                Member(path, entry.filename), "this file is encrypted; expected a published archive"
            )
    return [Member(path, entry.filename) for entry in entries if not entry.filename.startswith("__MACOSX/")]


def verify_checksum(path: Path) -> None:
    """Compare an archive with the MD5 in the file `NAME.md5` beside it, as publishers write it; none is no error.

    MD5 finds damage, not forgery. Raises `DataError` where they differ, or the file holds no MD5.
    """
    beside = path.with_name(f"{path.name}.md5")
    if not beside.is_file():
        return
    text = beside.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"\b[0-9a-f]{32}\b", text, re.IGNORECASE)
    if found is None:
        raise DataError(
            beside, f"expected an MD5 of 32 hexadecimal digits, got {text[:60]!r}; {AGAIN}, or delete it", 1
        )
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "md5").hexdigest()
    if actual != found[0].lower():
        message = f"its MD5 is {actual}, and {beside.name} says {found[0].lower()}"
        raise DataError(path, f"{message}: the archive is cut off, damaged or of another version; {AGAIN}")
