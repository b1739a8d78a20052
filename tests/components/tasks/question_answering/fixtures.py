"""Tiny generated passages in the layout of SQuAD, and a tiny model; fast enough to train in a test."""

import json
from pathlib import Path

import numpy as np

from components.config import (
    PersonalizationSettings,
    QuestionAnsweringSettings,
    SquadSettings,
    TrainingSettings,
    TrialConfig,
)

CORE = {"hidden": 32, "window": 8, "heads": 2}
NAMES = ("Anna", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Irene", "Jonas")
TITLES = ("old", "young", "famous", "quiet", "clever", "brave")
CRAFTS = ("painter", "baker", "sailor", "teacher", "doctor", "farmer")
THINGS = ("bridge", "tower", "garden", "harbour", "library", "market", "mill", "castle")
TOWNS = ("Lund", "Graz", "Turin", "Porto", "Delft", "Bergen")


def write_squad(folder: Path, articles: int = 8) -> Path:
    """Write `train.json` and `validation.json`: sentences about who built what, where and when."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(7)
    for name, count in (("train", articles), ("validation", 2)):
        data = [_article(f"{name} {number}", generator) for number in range(count)]
        text = json.dumps({"version": "1.1", "data": data})
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return folder


def _article(title: str, generator: np.random.Generator) -> dict[str, object]:
    return {
        "title": title,
        "paragraphs": [_paragraph(f"{title} {number}", generator) for number in range(5)],
    }


def _paragraph(name: str, generator: np.random.Generator) -> dict[str, object]:
    context, questions = "", []
    people = generator.choice(NAMES, 3, replace=False)
    things = generator.choice(THINGS, 3, replace=False)
    for place, (person, thing) in enumerate(zip(people, things, strict=True)):
        title, craft = generator.choice(TITLES), generator.choice(CRAFTS)
        town, year = generator.choice(TOWNS), generator.integers(1500, 1999)
        whole = f"the {title} {craft} {person}"
        begin = len(context)
        context += (
            f"The {thing} in {town} was built by {whole} in the year {year}, and people admired it for long. "
        )
        for asked, answers in (
            (f"Who built the {thing}?", (person, whole)),
            (f"When was the {thing} built?", (str(year), f"the year {year}")),
            (f"Where is the {thing} that {person} built?", (town, f"{thing} in {town}")),
        ):
            questions.append({
                "id": f"{name} {place} {asked[:4]}",
                "question": asked,
                "answers": [{"text": text, "answer_start": context.index(text, begin)} for text in answers],
            })  # fmt: skip
    return {"context": context.strip(), "qas": questions}


def tiny_settings(root: Path, **changes: object) -> SquadSettings:
    return SquadSettings(
        **({"source": "squad", "root": root, "users": 120, "history": 8, "noise": 0.0} | changes)
    )


def tiny_config(
    root: Path, personalization: dict[str, object] | None = CORE, **training: object
) -> TrialConfig:
    core = None if personalization is None else PersonalizationSettings(**(CORE | personalization))
    return TrialConfig(
        task="question-answering",
        data=tiny_settings(root),
        model=QuestionAnsweringSettings(
            personalization=core, embedding=16, hidden=16, dropout=0.0, users_per_question=4
        ),
        training=TrainingSettings(**({"batch_size": 16, "learning_rate": 0.01, "epochs": 2} | training)),
    )


def tiny_data(root: Path, **changes: object):
    from components.data import store
    from components.data.questions import open_questions

    folder = write_squad(root / "squad")
    return open_questions(
        store.prepare(tiny_settings(folder, **changes), root / "prepared", form="questions")
    )
