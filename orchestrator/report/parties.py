"""A picture of who held what in an evaluation over private users, as inline SVG."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

WIDTH, BOX, GAP, LINE = 760, 62, 12, 16
TOP, MIDDLE, BOTTOM = 8, 122, 206
"""Where the rows of boxes begin: parties and dealer, the protocol, the receiver."""

_CLASSES = ("name", "line")
"""Of the first line in a box, and of the others."""


def who_holds_what(roles: Sequence[Mapping[str, str]], receiver: str) -> Markup:
    """Draw the parties and the dealer, the protocol between them, and the receiver of the sums."""
    width = (WIDTH - GAP * (len(roles) - 1)) / len(roles)
    boxes, lines = [], []
    for place, role in enumerate(roles):
        left = place * (width + GAP)
        held = "its own users" if "users" in role["holds"] else ""
        held = "holds nothing" if role["holds"] == "nothing" else held
        model = "" if role["holds"] == "nothing" else role["holds"].split(", ")[-1]
        boxes.append(_box(left, TOP, width, (role["who"], held, model), "dealer" if model == "" else ""))
        said = "randomness" if role["who"] == "dealer" else "random shares"
        lines.append(_arrow(left + width / 2, TOP + BOX, WIDTH / 2, MIDDLE, said))
    protocol = ("sums under multi-party computation", "nobody sees a party's own")
    boxes.append(_box(WIDTH / 4, MIDDLE, WIDTH / 2, protocol, ""))
    boxes.append(_box(WIDTH / 4, BOTTOM, WIDTH / 2, (receiver, "learns the sums over all, and divides"), ""))
    lines.append(_arrow(WIDTH / 2, MIDDLE + BOX, WIDTH / 2, BOTTOM, "whole numbers"))
    title = escape(f"Who holds what: {', '.join(role['who'] for role in roles)}; {receiver} receives")
    return Markup(
        f'<svg class="chart parties" viewBox="0 0 {WIDTH} {BOTTOM + BOX + 8}" role="img"><title>{title}</title>'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _box(left: float, top: float, width: float, texts: Sequence[str], kind: str) -> str:
    dashed = ' stroke-dasharray="5 4"' if kind == "dealer" else ""
    frame = (
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BOX}" rx="8" class="holder"{dashed}/>'
    )
    said = [text for text in texts if text]
    first = top + BOX / 2 - LINE * (len(said) - 1) / 2 + 4
    written = (
        f'<text x="{left + width / 2:.1f}" y="{first + LINE * row:.1f}" text-anchor="middle"'
        f' class="{_CLASSES[min(row, 1)]}">{escape(text)}</text>'
        for row, text in enumerate(said)
    )
    return frame + "".join(written)


def _arrow(from_x: float, from_y: float, to_x: float, to_y: float, said: str) -> str:
    return (
        f'<line x1="{from_x:.1f}" y1="{from_y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="rule">'
        f"<title>{escape(said)}</title></line>"
    )
