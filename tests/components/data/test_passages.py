import re
import time

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from components.data.passages import KINDS, Tokens, kind_of

TEXT = (
    "Dr. Smith of the U.S. Navy built the old bridge, which crosses the wide river at Lund. It cost 1,000 pounds! "
    "He (the engineer) died in 1960."
)


def words(tokens: Tokens, span: tuple[int, int]) -> str:
    return tokens.text[tokens.start[span[0]] : tokens.end[span[1] - 1]]


def test_tokens_keep_numbers_whole_and_know_their_characters():
    tokens = Tokens("It cost 1,000 pounds, in the 1960s.")
    assert tokens.words == ["It", "cost", "1,000", "pounds", ",", "in", "the", "1960", "s", "."]
    assert [tokens.text[a:b] for a, b in zip(tokens.start, tokens.end, strict=True)] == tokens.words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301 noir", ["cafe\u0301", "noir"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("مُحَمَّد", ["مُحَمَّد"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),  # noqa: RUF001
        ("ที่นี่", ["ที่", "นี่"]),
        ("第2次世界大戦、ドイツ in 1945年", [*"第2次世界大戦、ドイツ", "in", "1945", "年"]),
        ("SARSコロナ", ["SARS", *"コロナ"]),
        ("1️⃣ ⅔ x² 東", ["1", "\ufe0f\u20e3", "⅔", "x²", "東"]),
        ("한국어 단어", ["한국어", "단어"]),
    ],
)
def test_marks_stay_with_their_letter_and_scripts_without_spaces_are_cut_into_characters(text, expected):
    assert Tokens(text).words == expected


@given(
    st.text(
        st.characters(exclude_categories=("M", "Cn", "Cs"), include_characters="é_-²", max_codepoint=0x2E7F)
    )
)
def test_scripts_with_spaces_and_without_marks_are_cut_as_ever(text):
    unspaced = regex.search(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u200c\u200d]", text)
    plain = re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|\S", text)
    assert unspaced or Tokens(text).words == plain


def test_sentences_do_not_end_at_abbreviations():
    tokens = Tokens(TEXT)
    last = [int(tokens.sentence[tokens.words.index(word)]) for word in ("Navy", "Lund", "pounds", "died")]
    assert last == [0, 0, 1, 2]


@pytest.mark.parametrize("text", ["." * 20_000, "A. B. " * 3_333, "?! " * 6_666, "." * 10_000 + " " * 10_000])
def test_sentences_of_nothing_but_signs_take_no_time_squared(text):
    tokens, before = Tokens(text), time.process_time()
    assert len(tokens.sentence) == len(tokens)
    assert time.process_time() - before < 1  # a scan from every sign took 8 seconds and more


STOP = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s+[\"'“‘(\[]?[A-Z0-9])|\n+")  # noqa: RUF001
LAST_WORD = re.compile(r"[^\s(\[]*$")
SIGNS = (*(".", "!", '"', "’", ")", "(", "[", " ", "\n", "\u00a0", "A", "B", "7"), "U.S", "Mr", "e.g", "word")  # noqa: RUF001


@given(st.lists(st.sampled_from(SIGNS), max_size=14).map("".join))
def test_sentences_end_where_a_plain_search_says(text):
    """The definition without a thought to its cost, as which prepared data was cut."""
    ends = []
    for match in STOP.finditer(text):
        word = LAST_WORD.search(text[: match.start()]).group()
        known = word.lower() in ("u.s", "mr", "e.g") or re.fullmatch(r"(?:[A-Z]\.)*[A-Z]", word)
        if match.group() != "." or not known:
            ends.append(match.end())
    tokens = Tokens(text)
    number = np.searchsorted(ends, tokens.start, side="right")
    assert tokens.sentence.tolist() == np.unique(number, return_inverse=True)[1].tolist()


def test_clauses_end_at_signs_and_conjunctions():
    tokens = Tokens(TEXT)
    first = tokens.words.index("bridge")
    assert (
        words(tokens, tokens.clause_around(first, first + 1))
        == "Dr. Smith of the U.S. Navy built the old bridge"
    )
    first = tokens.words.index("river")
    assert words(tokens, tokens.clause_around(first, first + 1)) == "which crosses the wide river at Lund"
    first = tokens.words.index("engineer")
    assert words(tokens, tokens.clause_around(first, first + 1)) == "the engineer"
    both = tokens.words.index("bridge"), tokens.words.index("river") + 1
    assert words(tokens, tokens.clause_around(*both)).startswith("Dr. Smith of")
    assert words(tokens, tokens.clause_around(*both)).endswith("river at Lund")


def test_an_answer_is_found_nearest_to_where_it_is_said_to_be():
    tokens = Tokens("The art of a party is an art. Art!")
    assert [words(tokens, tokens.locate("art", marked) or (0, 0)) for marked in (0, 30)] == ["art", "art"]
    assert tokens.locate("art", 2) == (1, 2)
    assert tokens.locate("art", 14) == (1, 2)  # the one inside of a word does not count
    assert tokens.locate("art", 40) == (7, 8)
    assert tokens.locate("par", 0) == (4, 5)  # unless there is no other
    assert tokens.locate("nothing", 0) is None


@given(st.text(alphabet="aB1., ;(\n", max_size=60), st.data())
def test_cuts_hold_for_any_text(text, data):
    tokens = Tokens(text)
    begins, ends = tokens.clauses
    assert "".join(tokens.words) == "".join(text.split())
    assert begins.sum() == ends.sum()
    sentence = tokens.sentence.tolist()
    assert sentence == sorted(sentence) and set(sentence) == set(range(len(set(sentence))))
    depth = 0
    for place in range(len(tokens)):
        depth += int(begins[place])
        assert depth in (0, 1)
        depth -= int(ends[place])
    if len(tokens):
        first = data.draw(st.integers(0, len(tokens) - 1))
        last = data.draw(st.integers(first + 1, len(tokens)))
        start, end = tokens.clause_around(first, last)
        assert 0 <= start <= first < last <= end <= len(tokens)
        answer = words(tokens, (first, last))
        assert words(tokens, tokens.locate(answer, int(tokens.start[first])) or (0, 0)) == answer


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who built the bridge?", "who"),
        ("In what year did it open?", "when"),
        ("What percentage of people agreed?", "how many"),
        ("How long is the bridge?", "how many"),
        ("How did he die?", "how"),
        ("Whose bridge is it, and where?", "who"),
        ("Along with Lund, where did he live?", "where"),
        ("Why?", "why"),
        ("Which bridge?", "which"),
        ("What is it called when people rebel?", "what"),
        ("Name the bridge.", "other"),
    ],
)
def test_the_first_question_word_decides_the_kind(question, kind):
    assert KINDS[kind_of(question)] == kind
