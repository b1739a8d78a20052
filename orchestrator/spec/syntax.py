"""PyYAML's syntax errors, said so that a person knows what to change."""

from typing import Any

import yaml

_BRACKETS = "a `{` or `[` starts a section or list here; quote the value, or write one `key: value` a line"


def explain(error: yaml.MarkedYAMLError) -> tuple[Any, str]:
    """Return the mark to point at, and what is wrong there."""
    problem, context = error.problem or "", error.context or ""
    opened, mark = error.context_mark, error.problem_mark or error.context_mark
    since = f" in line {opened.line + 1}" if opened is not None else ""
    if "'\\t'" in problem or _is_tab(mark):
        return mark, "a tab: YAML is indented and separated with spaces"
    if "could not find expected ':'" in problem:
        return opened or mark, "expected `key: value`; the `: ` is missing"
    if "mapping values are not allowed here" in problem:
        return (
            mark,
            "a `:` that belongs to no key: indent the line like those above, or quote text with a `: `",
        )
    if "expected <block end>" in problem:
        return mark, "the indentation fits none of the lines above"
    if "expected ',' or" in problem:
        bracket = "]" if "']'" in problem else "}"
        remedy = f": {_BRACKETS}" if _is_at_bracket(mark) else ""
        return mark, f"expected `,` or `{bracket}` to go on with what is opened{since}{remedy}"
    if "end of stream" in problem and "quoted" in context:
        return opened or mark, "the quote that is opened here is never closed"
    if "cannot start any token" in problem:
        return mark, "text that starts with this character must be quoted"
    if "did not find expected" in problem or "expected the node content" in problem:
        return mark, f"a value is missing here ({problem})"
    return mark, f"not YAML: {problem}" + (f" ({context})" if context else "")


def _is_at_bracket(mark: Any) -> bool:
    """Whether a bracket opens at the mark or has closed just before it, as in text that is not quoted."""
    around = (getattr(mark, "buffer", None) or "")[mark.pointer - 1 : mark.pointer + 1]
    return around[-1:] in ("{", "[") or around[:1] in ("}", "]")


def _is_tab(mark: Any) -> bool:
    buffer = getattr(mark, "buffer", None) or ""
    return bool(buffer[mark.pointer : mark.pointer + 1] == "\t")
