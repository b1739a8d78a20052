"""Tiny generated folders in the layouts of Flickr8k and Flickr30k: pictures of one subject in one place."""

import csv
import json
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from components.config import FlickrSettings

Layout = Literal["styled", "flickr8k", "flickr30k", "table"]

SUBJECTS = {"dog": "runs", "cat": "sleeps", "boy": "plays", "girl": "jumps", "man": "sits", "woman": "walks"}
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "yellow": (230, 220, 20)}
PLACES = {"snow": (250, 250, 250), "street": (110, 110, 110), "lake": (60, 160, 200)}
TAILS = {
    "humorous": ("looking for hidden gold", "like a funny clown", "to escape the aliens"),
    "romantic": ("dreaming of true love", "with a heart full of joy", "enjoying the beauty of life"),
}
CAPTIONS = (
    "A {colour} {subject} {verb} in the {place} .",
    "One {subject} {verb} here .",
    "There is a {subject} , and it {verb} near the {place} today .",
    "The {colour} {subject} in the {place} {verb} .",
    "a {subject} all alone",
)
PARTS = {"train": 60, "validation": 16, "test": 10}


def write_flickr(folder: Path, layout: Layout = "styled") -> Path:
    """Write a folder in one of the published layouts; only `styled` has styled captions, the test part aside."""
    generator = np.random.default_rng(5)
    pictures = [
        _picture(f"{part}{number}", part, generator)
        for part, count in PARTS.items()
        for number in range(count)
    ]
    names = {"styled": "images", "flickr8k": "Flicker8k_Dataset", "flickr30k": "flickr30k-images"}
    drawn = folder / names.get(layout, "flickr30k_images")
    drawn.mkdir(parents=True)
    for name, _, _, image in pictures:
        image.save(drawn / name, quality=90)
    _write_captions(folder, layout, pictures)
    if layout == "flickr30k":
        known = {"validation": "val"}
        images = [
            {"filename": name, "split": known.get(part, part), "sentences": [{"raw": text} for text in texts]}
            for name, part, texts, _ in pictures
        ]
        (folder / "dataset_flickr30k.json").write_text(json.dumps({"dataset": "flickr30k", "images": images}))
    else:
        _write_lists(folder, layout, pictures)
    if layout == "styled":
        _write_styles(folder, pictures, generator)
    return folder


Picture = tuple[str, str, list[str], Image.Image]


def _picture(name: str, part: str, generator: np.random.Generator) -> Picture:
    subject, colour, place = (str(generator.choice(list(each))) for each in (SUBJECTS, COLOURS, PLACES))
    image = Image.new("RGB", (40, 30), PLACES[place])
    pen = ImageDraw.Draw(image)
    left, top = (int(each) for each in generator.integers(4, 12, 2))
    box = (left, top, left + 18, top + 14)
    if subject in ("dog", "cat"):
        pen.ellipse(box, fill=COLOURS[colour])
    else:
        pen.rectangle(box, fill=COLOURS[colour])
    words = {"subject": subject, "colour": colour, "place": place, "verb": SUBJECTS[subject]}
    return f"{name}.jpg", part, [text.format(**words) for text in CAPTIONS], image


def _write_captions(folder: Path, layout: Layout, pictures: list[Picture]) -> None:
    if layout == "table":
        lines = ["image_name| comment_number| comment"]
        lines += [f"{name}| {n}| {text}" for name, _, texts, _ in pictures for n, text in enumerate(texts)]
        lines[3] = lines[3].replace("| 2|", "| 2  ")  # as one line of the published file
        (folder / "results.csv").write_text("\n".join(lines) + "\n")
        return
    lines = [f"{name}#{n}\t{text}" for name, _, texts, _ in pictures for n, text in enumerate(texts)]
    names = {"styled": "results.token", "flickr8k": "Flickr8k.token.txt"}
    (folder / names.get(layout, "results_20130124.token")).write_text("\n".join(lines) + "\n")


def _write_lists(folder: Path, layout: Layout, pictures: list[Picture]) -> None:
    published = {"train": "trainImages", "validation": "devImages", "test": "testImages"}
    for part in PARTS:
        names = [name for name, each, _, _ in pictures if each == part]
        if layout == "table":  # the lists of Flickr30k name pictures without their ending
            names = [name.removesuffix(".jpg") for name in names]
        file = f"Flickr_8k.{published[part]}.txt" if layout == "flickr8k" else f"{part}.txt"
        (folder / file).write_text("\n".join(names) + "\n")


def _write_styles(folder: Path, pictures: list[Picture], generator: np.random.Generator) -> None:
    with (folder / "styles.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "style", "caption"])
        for name, part, texts, _ in pictures:
            if part != "test":
                for style, tails in TAILS.items():
                    rows.writerow([name, style, f"{texts[0].lower()[:-2]} {generator.choice(tails)} ."])


def tiny_settings(root: Path, **changes: object) -> FlickrSettings:
    """Settings that read such a folder quickly."""
    chosen = {"source": "flickr8k", "root": root, "image_size": 16, "users": 60, "history": 8, **changes}
    return FlickrSettings.model_validate(chosen)
