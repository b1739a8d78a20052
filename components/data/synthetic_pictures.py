"""Drawing the small pictures of the embedded data set: glyphs of a colour, a size and a number, before a background.

`#` is drawn in the colour of the subject and `o` in that of its details; the rest shows what is behind.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Raised whenever the same scene is drawn differently."""

SIZE = 32
"""Height and width of a picture."""
GLYPH = 10
"""Height and width of a small glyph; a big one has twice as much."""
HORIZON = (12, 18)
"""Rows between which the ground begins."""
NOISE = 8.0
"""Standard deviation of what is added to every value of a pixel."""
LIGHT = 0.15
"""Relative spread of the light in which a picture is taken."""

COLOURS = {
    "red": (205, 35, 35),
    "orange": (245, 135, 20),
    "yellow": (250, 225, 30),
    "purple": (140, 45, 175),
    "blue": (35, 60, 215),
    "black": (20, 20, 20),
}
PLACES = {
    "beach": ((165, 215, 245), (225, 205, 155)),
    "meadow": ((185, 225, 250), (95, 175, 80)),
    "snow": ((170, 180, 195), (240, 243, 248)),
    "street": ((205, 195, 185), (110, 110, 115)),
    "lake": ((200, 220, 215), (85, 150, 200)),
}
"""Sky and ground."""
DETAIL = (125, 75, 45)

KINDS = ("people", "animals", "vehicles", "plants")
SUBJECTS = {
    "man": "people",
    "woman": "people",
    "child": "people",
    "dog": "animals",
    "cat": "animals",
    "bird": "animals",
    "car": "vehicles",
    "boat": "vehicles",
    "train": "vehicles",
    "tree": "plants",
    "flower": "plants",
    "cactus": "plants",
}
"""Each subject and its kind."""

GLYPHS = {
    "man": """
        ....oo....
        ....oo....
        ..######..
        ..######..
        ..o####o..
        ..o####o..
        ...####...
        ...#..#...
        ...#..#...
        ..##..##..""",
    "woman": """
        ...#oo#...
        ...#oo#...
        ....##....
        ..o####o..
        .o.####.o.
        ...####...
        ..######..
        .########.
        ...o..o...
        ...o..o...""",
    "child": """
        ..........
        ..........
        ....oo....
        ...oooo...
        ....oo....
        .o.####.o.
        ..o####o..
        ...####...
        ...#..#...
        ...#..#...""",
    "dog": """
        ..........
        #.......##
        #......###
        .#....#o##
        .#########
        ..#######.
        ..#######.
        ..#.#.#.#.
        ..#.#.#.#.
        ..#.#.#.#.""",
    "cat": """
        .#..#.....
        .####.....
        .o##o....#
        .####....#
        ..##.....#
        ..######.#
        ..########
        ..#######.
        ..#.##.#..
        ..#.##.#..""",
    "bird": """
        ..........
        ......##..
        ##...#o##o
        .##..#####
        ..#######.
        ..######..
        ...#####..
        ....###...
        ....o.o...
        ...oo.oo..""",
    "car": """
        ..........
        ..........
        ...####...
        ..#oo#o#..
        ..#oo#o#..
        ##########
        ##########
        ##########
        .oo....oo.
        .oo....oo.""",
    "boat": """
        ....#.....
        ....##....
        ....###...
        ....####..
        ....#####.
        ....#.....
        oooooooooo
        ##########
        .########.
        ..######..""",
    "train": """
        .##.......
        .##...####
        .##...#oo#
        #######oo#
        ##########
        ##########
        ##########
        oo.oo..ooo
        oo.oo..ooo
        ..........""",
    "tree": """
        ...####...
        ..######..
        .########.
        ##########
        .########.
        ..######..
        ....oo....
        ....oo....
        ....oo....
        ...oooo...""",
    "flower": """
        ...##.##..
        ..###.###.
        ...#ooo#..
        ..##ooo##.
        ..###.###.
        ...##.##..
        .....o....
        ..o..o.o..
        ...o.oo...
        .....o....""",
    "cactus": """
        ....##....
        ....##..#.
        .#..##..#.
        .#..##..#.
        .#..#####.
        .#####....
        ....##....
        ....##....
        ..oooooo..
        ..oooooo..""",
}


@dataclass(frozen=True)
class Scene:
    """What a picture shows."""

    subject: str
    colour: str
    place: str
    big: bool
    count: int
    """1 to 3; a big subject is alone."""


def draw(
    scene: Scene, generator: np.random.Generator, height: int = SIZE, width: int = SIZE
) -> NDArray[np.uint8]:
    """Draw a scene: [height, width, 3], red, green and blue."""
    sky, ground = PLACES[scene.place]
    picture = np.empty((height, width, 3))
    horizon = int(generator.integers(*HORIZON))
    picture[:horizon], picture[horizon:] = sky, ground
    glyph = _glyph(scene.subject)
    if generator.random() < 0.5:
        glyph = glyph[:, ::-1]
    scale = 2 if scene.big else 1
    glyph = np.kron(glyph, np.ones((scale, scale), np.int64))
    side = scale * GLYPH
    room = width // scene.count
    for number in range(scene.count):
        top = int(generator.integers(height // 3, height - side, endpoint=True))
        left = number * room + int(generator.integers(0, room - side, endpoint=True))
        inside = picture[top : top + side, left : left + side]
        inside[glyph == 1], inside[glyph == 2] = COLOURS[scene.colour], DETAIL
    light = 1 + LIGHT * generator.uniform(-1, 1)
    noisy = picture * light + generator.normal(0, NOISE, picture.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _glyph(subject: str) -> NDArray[np.int64]:
    """Read a glyph: [GLYPH, GLYPH], 0 nothing, 1 the subject's colour, 2 its details."""
    return np.array([[".#o".index(sign) for sign in line] for line in GLYPHS[subject].split()])
