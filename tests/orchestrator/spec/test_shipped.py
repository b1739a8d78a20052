import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.spec.load import SpecErrors, load_sweep


def test_a_sweep_that_ships_is_found_where_there_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "prefix" / "share" / "adaptune" / "sweeps"
    shutil.copytree("sweeps", installed)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.chdir(tmp_path)
    assert load_sweep(Path("sweeps/quickstart.yaml")).name == "quickstart"
    with pytest.raises(SpecErrors, match=r"sweeps/other\.yaml"):
        load_sweep(Path("sweeps/other.yaml"))


def test_what_lies_here_comes_before_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sweeps").mkdir()
    own = Path("sweeps/quickstart.yaml")
    own.write_text("name: mine\ntask: recommendation\ndata: {source: synthetic}\n")
    assert load_sweep(own).name == "mine"
