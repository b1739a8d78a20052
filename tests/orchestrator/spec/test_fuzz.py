"""Whatever is in a file, it is read or refused with SpecErrors; nothing else ever escapes."""

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.spec.load import SpecErrors, load_sweep, sweep_from_values

SWEEPS = Path(__file__).parents[3] / "sweeps"
TEXT = (SWEEPS / "quickstart.yaml").read_text()
VALUES = yaml.safe_load(TEXT)
SIGNS = ["{", "}", "[", "]", ": ", "- ", "? ", "|", ">", "'", '"', "\\", "#", "%", "@", "~", "\n", "\t", " "]
WORDS = [
    "&a ",
    "*a",
    "!!",
    "!x ",
    "null",
    "1e999",
    "0x",
    "${A}",
    "${",
    "---\n",
    "<<: ",
    "\x00",
    "\ufeff",
    "\u2028",
    "🦆",
]
PIECES = SIGNS + WORDS


def attempt(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    try:
        load_sweep(file)
    except SpecErrors as refusal:
        assert refusal.errors
        assert all(error.message and error.path == str(file) for error in refusal.errors)
        str(refusal).encode()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "sweep.yaml"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.binary(max_size=300))
def test_random_bytes(content: bytes, file: Path):
    attempt(content, file)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40))
def test_random_yaml_pieces(content: list[str], file: Path):
    attempt("".join(content).encode("utf-8", "surrogatepass"), file)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_mutated_sweeps(seed: int, file: Path):
    generator = random.Random(seed)
    text = TEXT
    for _ in range(generator.randint(1, 4)):
        start = generator.randrange(len(text))
        text = text[:start] + generator.choice(PIECES) + text[start + generator.choice((0, 1, 5, 40)) :]
    attempt(text.encode(), file)


KEYS = ["training.epochs", "source", "metric", "a", ""]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["accuracy", "baseline", "synthetic", "training.epochs", "model"])
    | st.text(max_size=3)
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=st.sampled_from([*VALUES, "compare", "budget", "resources", "tracking"]), value=PLAIN)
def test_any_value_for_any_section(key: str, value: object):
    try:
        sweep_from_values({**VALUES, key: value})
    except SpecErrors as refusal:
        assert refusal.errors


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    override=st.tuples(
        st.sampled_from(["", "grid", "seeds", "training.epochs", "data", "a.b"]), st.text(max_size=12)
    )
)
def test_any_override(override: tuple[str, str], file: Path):
    file.write_text(TEXT)
    try:
        load_sweep(file, ["=".join(override)])
    except SpecErrors as refusal:
        assert refusal.errors
