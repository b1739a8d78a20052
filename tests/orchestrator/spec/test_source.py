"""YAML as plain data: scalars, variables, aliases, positions."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.problems import SpecErrors
from orchestrator.spec.source import MAX_BYTES, parse_file, parse_text


def plain(text: str):
    node, errors = parse_text(text, "file")
    assert not errors
    return node.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 100000.0), ("3e-4", 0.0003), (".5", 0.5), ("1.", 1.0), ("-2", -2), ("+7", 7),
        ("0x1F", 31), ("0o17", 15), ("017", 17), ("1_000", "1_000"), ("1:30", "1:30"),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", None), ("nUll", "nUll"),
        ("2024-01-31", "2024-01-31"), ("0b11", "0b11"), ("1.2.3", "1.2.3"), ("=", "="), ("e5", "e5"),
        ("'5'", "5"), ('"true"', "true"), ("|\n  5\n", "5\n"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object):
    result = plain(f"x: {text}")["x"]
    assert result == value and type(result) is type(value)


def test_positions_count_from_one_in_characters():
    node, _ = parse_text("# ü\nä: 1\nb: [é, {c: 2}]\n", "file")
    assert (node.keys["b"].line, node.keys["b"].column) == (3, 1)
    place = node.find(("b", 1, "c"))
    assert (place.line, place.column) == (3, 12)


def test_byte_order_mark_and_carriage_returns_are_harmless(tmp_path):
    file = tmp_path / "file.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    node, errors = parse_file(file)
    assert not errors and node.plain() == {"a": 1, "b": 2}
    assert (node.keys["a"].column, node.keys["b"].line) == (1, 2)


def test_variables_are_expanded_in_text_only(monkeypatch):
    monkeypatch.setenv("PLACE", "/data: [5]")
    monkeypatch.setenv("NUMBER", "5")
    assert plain("{a: ${PLACE}/x, b: '${PLACE}', c: ${NUMBER}, d: $PLACE, e: $$, f: [${NUMBER}]}") == {
        "a": "/data: [5]/x", "b": "/data: [5]", "c": "5", "d": "$PLACE", "e": "$$", "f": ["5"],
    }  # fmt: skip
    assert parse_text("a: ${PLACE}", "file", expand=False)[0].plain() == {"a": "${PLACE}"}


def test_variables_are_expanded_once(monkeypatch):
    monkeypatch.setenv("FIRST", "${SECOND}")
    assert plain("a: ${FIRST}") == {"a": "${SECOND}"}


def test_aliases_repeat_values():
    assert plain("a: &x [1, 2]\nb: *x\nc: {d: *x}") == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


def test_the_biggest_file_is_parsed_in_seconds():
    text = "a: [" + "1, " * (MAX_BYTES // 3 - 3) + "1]"
    start = time.process_time()
    parse_text(text, "file")
    assert time.process_time() - start < 10


TEXTS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=5)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**62), 2**62) | TEXTS
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_json_is_yaml(value):
    node, errors = parse_text(json.dumps({"x": value}, ensure_ascii=False), "file", expand=False)
    assert not errors and node.plain() == {"x": value}


def test_a_tag_is_reported_and_the_rest_goes_on():
    node, errors = parse_text("a: !!python/name:os.system ''\nb: 2\nb: 3\n", "file")
    assert [error.line for error in errors] == [1, 3]
    assert node.plain()["b"] == 2


def test_text_that_is_from_no_file_has_no_line():
    with pytest.raises(SpecErrors, match=r"^--set a=\[1: expected"):
        parse_text("[1", "--set a=[1", located=False)
