"""A tiny MovieLens folder, as GroupLens lays it out."""

from pathlib import Path

USERS, ITEMS = 6, 5


def write_movielens(folder: Path, info: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    events = [
        f"{user}\t{item}\t{1 + (user + item) % 5}\t{881250000 + 10 * item + user}"
        for user in range(1, USERS + 1)
        for item in range(1, ITEMS + 1)
    ]
    items = [f"{n}|Café {n} (199{n})|01-Jan-1995||http://x/{n}|{flags(n)}" for n in range(1, ITEMS + 1)]
    users = [f"{n}|{10 * n}|{'MF'[n % 2]}|writer|9410{n}" for n in range(1, USERS + 1)]
    for name, lines in (("u.data", events), ("u.item", items), ("u.user", users)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    if info:
        (folder / "u.info").write_text(f"{USERS} users\n{ITEMS} items\n{len(events)} ratings\n")
    return folder


def flags(chosen: int) -> str:
    return "|".join("1" if index == chosen else "0" for index in range(19))


def edit(path: Path, line: int, text: str) -> None:
    """Replace the 1-based line of a file."""
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = text.encode("latin-1")
    path.write_bytes(b"\n".join(lines))
