"""Generated passages and questions of the embedded data set: towns, what was built there, by whom, when and why.

A passage tells of several things in the same pattern, and of one of them in a further one, so only the question says
which is meant; it asks in other words than the passage. The sizes come from the settings, everything else from
`synthetic_grammar`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.config import SyntheticSettings
from components.data.passages import Passage, Question
from components.data.synthetic_grammar import (
    FIRST_NAMES,
    GROUPS,
    LAST_NAMES,
    LOOKS,
    PATTERNS,
    PHRASES,
    THINGS,
    TOWN_BEGINNINGS,
    TOWN_ENDINGS,
    WORDS,
    Pattern,
)
from components.randomness import derive_seed

VERSION = 1
"""Raised whenever the same settings give other texts."""

THINGS_A_PASSAGE = 3
QUESTIONS_A_PASSAGE = 6
VALIDATION_SHARE = 1 / 6
"""Share of the articles that are the validation part."""
FIRST_YEAR, LAST_YEAR = 1500, 1999

_SLOT = re.compile(r"\{(\w+)(:?)\}")


def files(settings: SyntheticSettings) -> dict[str, Path]:
    """Name no file: the settings decide everything."""
    return {}


def read(settings: SyntheticSettings) -> dict[str, list[Passage]]:
    """Generate the articles: those to learn from (and to test on) as `train`, the others as `validation`."""
    generator = np.random.default_rng(derive_seed("synthetic questions", VERSION, settings.seed))
    towns = [first + last for first in TOWN_BEGINNINGS for last in TOWN_ENDINGS]
    titles = generator.permutation(towns)[: settings.articles].tolist()
    found: dict[str, list[Passage]] = {"train": [], "validation": []}
    for number, title in enumerate(titles):
        role = "validation" if number < round(len(titles) * VALIDATION_SHARE) else "train"
        found[role] += [_passage(title, part, generator) for part in range(settings.passages)]
    return found


@dataclass(frozen=True)
class _Fact:
    """What a sentence states and can be asked for."""

    ways: Sequence[str]
    """Templates of questions."""
    thing: str
    noun: str
    answers: tuple[tuple[str, int], ...]
    """The core and the whole phrase, and where in the passage they begin."""
    used: Mapping[str, str]
    """The words that the sentence has used of each group."""


def _passage(town: str, number: int, generator: np.random.Generator) -> Passage:
    nouns = generator.choice(THINGS, THINGS_A_PASSAGE, replace=False)
    looks = generator.choice(LOOKS, THINGS_A_PASSAGE, replace=False)
    usual, further = generator.choice(len(PATTERNS), 2, replace=False)
    things = [(f"the {look} {noun}", str(noun)) for noun, look in zip(nouns, looks, strict=True)]
    told = [(PATTERNS[usual], *thing) for thing in things] + [(PATTERNS[further], *things[0])]
    text, facts = "", []
    for place in generator.permutation(len(told)):
        pattern, thing, noun = told[place]
        sentence, spans, used = _tell(pattern, thing, town, generator)
        text += " " if text else ""
        for slot, found in spans.items():
            answers = tuple((sentence[first:last], len(text) + first) for first, last in found)
            facts.append(_Fact(pattern.questions[slot], thing, noun, answers, used))
        text += sentence
    questions = []
    for place, chosen in enumerate(generator.permutation(len(facts))[:QUESTIONS_A_PASSAGE]):
        fact = facts[chosen]
        questions.append(Question(f"{town}-{number}-{place}", _ask(fact, town, generator), fact.answers))
    return Passage(town, text, tuple(questions))


def _tell(
    pattern: Pattern, thing: str, town: str, generator: np.random.Generator
) -> tuple[str, dict[str, list[tuple[int, int]]], dict[str, str]]:
    """Write a sentence; return it, the spans of core and phrase of each fact, and the words it used of groups."""
    template = str(generator.choice(pattern.sentences))
    used = {group: str(generator.choice(words)) for group, words in GROUPS.items()}
    text = ""
    spans: dict[str, list[tuple[int, int]]] = {}
    for literal, slot, is_group in _parts(template):
        text += literal
        if is_group:
            text += used[slot]
        elif slot == "thing":
            text += thing
        elif slot:
            before, core, after = _phrase(slot, town, generator)
            first = len(text)
            text += before + core + after
            core_first = first + len(before)
            spans[slot] = [(core_first, core_first + len(core)), (first, len(text))]
    sentence = text[0].upper() + text[1:]
    return sentence, {slot: found for slot, found in spans.items() if slot in pattern.questions}, used


def _ask(fact: _Fact, town: str, generator: np.random.Generator) -> str:
    """Write a question in other words than its sentence has, where the groups know others."""
    name = str(generator.choice([fact.thing, f"the {fact.noun}", f"the {fact.noun} of {town}"]))
    text = ""
    for literal, slot, is_group in _parts(str(generator.choice(fact.ways))):
        text += literal
        if is_group:
            text += str(generator.choice([word for word in GROUPS[slot] if word != fact.used[slot]]))
        elif slot:
            text += name
    return text


def _phrase(slot: str, town: str, generator: np.random.Generator) -> tuple[str, str, str]:
    """Draw a phrase for a slot: what stands before its core, the core, and what stands after it."""
    known = {
        "name": f"{generator.choice(FIRST_NAMES)} {generator.choice(LAST_NAMES)}",
        "number_year": str(generator.integers(FIRST_YEAR, LAST_YEAR, endpoint=True)),
        "town": town,
    }
    template = str(generator.choice(PHRASES[slot]))
    phrase = _SLOT.sub(lambda slot: known.get(slot[1]) or str(generator.choice(WORDS[slot[1]])), template)
    before, rest = phrase.split("[")
    core, after = rest.split("]")
    return before, core, after


def _parts(template: str) -> Iterator[tuple[str, str, bool]]:
    """Cut a template into pairs of literal text and slot, and whether the slot is a group; the last has none."""
    last = 0
    for match in _SLOT.finditer(template):
        yield template[last : match.start()], match[1], bool(match[2])
        last = match.end()
    yield template[last:], "", False
