"""Seats prove who they are: whoever has another key, or has altered what others said, is refused by name."""

import base64
from pathlib import Path

import pytest

from components.errors import DataError
from components.privacy.identity import Identity, load_key, make_key, public_text
from tests.components.privacy.seats import run

KNOWN = """
from dataclasses import replace
from pathlib import Path
from components.privacy.identity import Identity, load_key
seat = replace(seat, identity=Identity(load_key(Path({key!r})), {public!r}, "roles"))
"""

TOTAL = """
with join(seat) as session:
    opened = session.total(np.array([rank + 1]))
    say(opened=None if opened is None else opened.tolist())
"""

DEAL = "deal(seat)"

SUBSTITUTE = """
import components.privacy.rendezvous as rendezvous
from components.privacy.streams import KeyExchange
told = rendezvous._Meeting.tell
def tell(self, what, text):
    if what == "hello":
        changed = json.loads(self.hear("hello", 1))
        changed["key"] = KeyExchange().public.hex()
        self._store.set("hello/1", json.dumps(changed, sort_keys=True))
    told(self, what, text)
rendezvous._Meeting.tell = tell
"""


def keys(folder: Path, count: int = 3) -> tuple[list[Path], tuple[str, ...]]:
    paths = [folder / f"{number}.pem" for number in range(count)]
    return paths, tuple(make_key(path) for path in paths)


def test_a_key_is_its_owners_alone_and_never_overwritten(tmp_path):
    path = tmp_path / "key.pem"
    public = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_text(load_key(path)) == public and len(base64.b64decode(public)) == 32
    with pytest.raises(DataError, match="cannot be written"):
        make_key(path)
    path.chmod(0o640)
    with pytest.raises(DataError, match="chmod 600"):
        load_key(path)
    path.write_text("no key")
    with pytest.raises(DataError, match="no private key"):
        load_key(path)


def test_a_signature_holds_for_one_seat_and_one_meeting(tmp_path):
    paths, public = keys(tmp_path)
    identities = [Identity(load_key(path), public, "roles") for path in paths]
    signature = identities[1].sign(1, b"what all have said")
    assert identities[0].verifies(1, b"what all have said", signature)
    assert not identities[0].verifies(1, b"what all have said another time", signature)
    assert not identities[0].verifies(2, b"what all have said", signature)
    assert not identities[0].verifies(1, b"what all have said", identities[2].sign(1, b"what all have said"))
    assert not identities[0].verifies(1, b"what all have said", "no signature")


def test_a_seat_without_the_right_key_is_refused_by_name(tmp_path):
    paths, public = keys(tmp_path)
    make_key(tmp_path / "other.pem")
    used = [paths[0], tmp_path / "other.pem", paths[2]]
    known = [KNOWN.format(key=str(path), public=public) for path in used]
    said = run([known[0] + TOTAL, known[1] + TOTAL, known[2] + DEAL], timeout=30)
    for seat in (said[0], said[2]):
        assert seat["failure"] == "NotWhoTheySay" and seat["rank"] == 1, said
        assert "Party 1 has not proven who it is" in seat["message"] and public[1] in seat["message"]
    assert not any("opened" in seat for seat in said)


def test_rank_0_cannot_put_a_key_of_its_own_in_anothers_place(tmp_path):
    """It keeps the store, so it can show all what it likes; what party 1 signed gives it away."""
    paths, public = keys(tmp_path)
    known = [KNOWN.format(key=str(path), public=public) for path in paths]
    said = run([SUBSTITUTE + known[0] + TOTAL, known[1] + TOTAL, known[2] + DEAL], timeout=30)
    assert all(seat["failure"] == "NotWhoTheySay" for seat in said[1:]), said
    assert not any("opened" in seat for seat in said)


@pytest.mark.slow
def test_without_listed_keys_rank_0_can(tmp_path):
    """What the statement of a result without listed keys says: nobody notices, but what is opened makes no sense."""
    said = run([SUBSTITUTE + TOTAL, TOTAL, DEAL], timeout=30)
    assert said[0].get("failure") in (None, "OutOfBounds") and said[0].get("opened") != [3], said
