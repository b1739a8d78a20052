"""What `make` installs is what pyproject.toml allows and what the code expects."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.privacy.crypten_setup import CRYPTEN_VERSION

ROOT = Path(__file__).resolve().parent.parent
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = [line for line in LINES if line and not line.startswith("#")]


def test_every_pin_is_one_exact_version_without_place_or_build():
    assert not [pin for pin in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)]
    assert not [pin for pin in PINS if pin.startswith(("nvidia", "cuda", "triton"))]


def test_every_declared_dependency_is_pinned_within_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    pinned = {canonicalize_name(name): version for name, version in (pin.split("==") for pin in PINS)}
    for line in [*project["dependencies"], *extras]:
        requirement = Requirement(line)
        assert pinned.get(canonicalize_name(requirement.name), "no pin") in requirement.specifier, line


def test_the_special_cases_name_the_pinned_versions():
    assert f"crypten=={CRYPTEN_VERSION}" in PINS
    torch = re.findall(r"torch==\S+", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert torch and set(torch) <= set(PINS)
