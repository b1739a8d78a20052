"""Line charts as inline SVG: no script, lines told apart without colour, a title on every point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from orchestrator.report.axis import Axis

WIDTH, HEIGHT = 480, 290
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 42
MANY = 12
"""A line of more points than this shows no dots; their titles are still there."""
DASHES = ("none", "7 4", "2 3", "9 3 2 3", "1 5", "12 5")


@dataclass(frozen=True)
class Point:
    """One value, with its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""
    """What its title says further, such as `chosen`."""


@dataclass(frozen=True)
class Series:
    """One line. `kind` decides its colour (the CSS class of a role), `dash` tells lines of a kind apart.

    Its shape may be other than a line: steps that hold each value until the next, or marks that nothing joins, whose
    corners or arms tell an odd `dash` from an even one.
    """

    label: str
    kind: str
    points: Sequence[Point]
    dash: int = 0
    strong: bool = True
    shape: Literal["line", "steps", "dots", "crosses", "rings"] = "line"


def line_chart(
    name: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    write_y: Callable[[float], str],
    x_names: Sequence[str] | None = None,
    y_axis: Axis | None = None,
) -> Markup:
    """Draw lines with interval bands; `x_names` turns x into positions 0, 1, … with these names.

    Charts that stand side by side share a `y_axis`, so that heights can be compared.
    """
    points = [point for line in series for point in line.points]
    if not points:
        return Markup('<p class="empty">Nothing to draw.</p>')
    y_axis = y_axis or Axis.around(
        value for point in points for value in (point.y, point.low, point.high) if value is not None
    )
    if x_names is None:
        x_axis = Axis.around([0, *(point.x for point in points)], ticks=6)
        x_ticks = [(tick, f"{tick:g}") for tick in x_axis.ticks]
    else:
        x_axis = Axis(-0.25, len(x_names) - 0.75, 1)
        x_ticks = [(float(index), text) for index, text in enumerate(x_names)]
    plot = _Plot(x_axis, y_axis)

    def describe(point: Point) -> str:
        place = f"{x_label} {point.x:g}" if x_names is None else f"{x_label} {x_names[int(point.x)]}"
        interval = ""
        if point.low is not None and point.high is not None:
            interval = f" [{write_y(point.low)}, {write_y(point.high)}]"
        return f"{place}: {write_y(point.y)}{interval}{f', {point.note}' if point.note else ''}"

    body = [plot.frame(x_ticks, write_y, x_label)]
    body += [plot.band(line) for line in series]
    body += [plot.draw(line, describe) for line in sorted(series, key=lambda line: line.strong)]
    drawing = Markup("").join(body)
    labels = ", ".join(dict.fromkeys(line.label for line in series))
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{title}"><title>{title}</title>'
        "<desc>{}</desc>{}</svg>"
    ).format(WIDTH, HEIGHT, f"{y_label} by {x_label}", drawing, title=f"{name}: {labels}")


def swatch(kind: str, dash: int, strong: bool = True) -> Markup:
    """Draw a line as it stands in a chart, for its legend."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 34 10" aria-hidden="true">'
        '<line class="{}" x1="1" y1="5" x2="33" y2="5" stroke-dasharray="{}"/></svg>'
    ).format(_classes(kind, strong), DASHES[dash % len(DASHES)])


@dataclass(frozen=True)
class _Plot:
    x_axis: Axis
    y_axis: Axis

    def x(self, value: float) -> str:
        return f"{LEFT + self.x_axis.share(value) * (WIDTH - LEFT - RIGHT):.1f}"

    def y(self, value: float) -> str:
        return f"{HEIGHT - BOTTOM - self.y_axis.share(value) * (HEIGHT - TOP - BOTTOM):.1f}"

    def frame(
        self,
        x_ticks: Sequence[tuple[float, str]],
        write_y: Callable[[float], str],
        x_label: str,
    ) -> Markup:
        parts = []
        for tick in self.y_axis.ticks:
            parts.append(
                Markup('<line class="rule" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
                    LEFT, WIDTH - RIGHT, y=self.y(tick)
                )
                + Markup('<text class="tick" x="{}" y="{}" dy="4" text-anchor="end">{}</text>').format(
                    LEFT - 7, self.y(tick), write_y(tick)
                )
            )
        for tick, text in x_ticks:
            parts.append(
                Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                    self.x(tick), HEIGHT - BOTTOM + 17, text
                )
            )
        middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
        parts.append(
            Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                middle, HEIGHT - 6, x_label
            )
        )
        return Markup("").join(parts)

    def band(self, line: Series) -> Markup:
        edges = [(point.x, point.low, point.high) for point in line.points]
        known = [(x, low, high) for x, low, high in edges if low is not None and high is not None]
        if not known:
            return Markup("")
        forth = [f"{self.x(x)},{self.y(high)}" for x, _, high in known]
        back = [f"{self.x(x)},{self.y(low)}" for x, low, _ in reversed(known)]
        return Markup('<polygon class="band {}" points="{}"/>').format(line.kind, " ".join(forth + back))

    def draw(self, line: Series, describe: Callable[[Point], str]) -> Markup:
        titles = [f"{line.label}, {describe(point)}" for point in line.points]
        marks = Markup("").join(
            self._mark(line, point, title) for point, title in zip(line.points, titles, strict=True)
        )
        if line.shape not in ("line", "steps"):
            return marks
        corners = [(self.x(point.x), self.y(point.y)) for point in line.points]
        if line.shape == "steps":
            corners = [
                corner
                for (x, y), (_, before) in zip(corners, [corners[0], *corners], strict=False)
                for corner in ((x, before), (x, y))
            ]
        path = " ".join(f"{x},{y}" for x, y in corners)
        dash = DASHES[line.dash % len(DASHES)]
        return (
            Markup(
                '<polyline class="{}" points="{}" stroke-dasharray="{}"><title>{}</title></polyline>'
            ).format(_classes(line.kind, line.strong), path, dash, line.label)
            + marks
        )

    def _mark(self, line: Series, point: Point, title: str) -> Markup:
        x, y, odd = self.x(point.x), self.y(point.y), line.dash % 2
        if line.shape == "crosses":
            arms = "m-5,0h10m-5,-5v10" if odd else "m-4,-4l8,8m0,-8l-8,8"
            return Markup('<path class="cross {}" d="M{} {}{}"><title>{}</title></path>').format(
                line.kind, x, y, arms, title
            )
        if line.shape in ("dots", "rings") and odd:
            half = 4 if line.shape == "dots" else 8
            path, kind = f"m-{half},-{half}h{2 * half}v{2 * half}h-{2 * half}z", f"{line.shape} {line.kind}"
            return Markup('<path class="{}" d="M{} {}{}"><title>{}</title></path>').format(
                kind, x, y, path, title
            )
        many = line.shape == "steps" or (line.shape == "line" and len(line.points) > MANY)
        size = {"dots": "4", "rings": "8"}.get(line.shape, "1" if many else "3")
        kind = f"{line.kind} many" if many else f"{line.kind} rings" if line.shape == "rings" else line.kind
        return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
            kind, x, y, size, title
        )


def _classes(kind: str, strong: bool) -> str:
    return str(escape(kind)) if strong else f"{escape(kind)} faint"
