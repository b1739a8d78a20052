"""`adaptune` itself: start-up, `validate` and `schema`, exit codes and streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOOD = "name: demo\ntask: recommendation\ndata: {source: synthetic}\n"
HEAVY = ("torch", "ray", "lightning", "pandas", "pyarrow", "numpy", "sqlalchemy", "wandb", "pydantic")


def adaptune(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator.cli.main", *map(str, arguments)]
    variables = {**os.environ, "COLUMNS": "100", **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    texts = {
        "good": GOOD,
        "bad": GOOD + "epohcs: 3\nseeds: [x]\n",
        "cluster": "cluster_name: a\nprovider: {}\n",
    }
    paths = {name: tmp_path / f"{name}.yaml" for name in texts}
    for name, path in paths.items():
        path.write_text(texts[name])
    return paths


def test_help_and_version():
    shown = adaptune("--help")
    assert shown.returncode == 0
    assert "validate" in shown.stdout and "schema" in shown.stdout
    assert adaptune("--version").stdout.startswith("adaptune ")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom orchestrator.cli.main import build\nbuild()\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_validating_good_files(files: dict[str, Path]):
    result = adaptune("validate", files["good"], ROOT / "cluster.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    assert "a sweep of recommendation, 1 grid point x 1 seed" in result.stdout


def test_a_variable_may_stand_in_braces(tmp_path: Path):
    file = tmp_path / "reader.yaml"
    file.write_text("name: reader\ntask: question-answering\ndata: {source: squad, root: ${DATA}/squad}\n")
    result = adaptune("validate", file, DATA="data")
    assert (result.returncode, result.stderr) == (0, "")


def test_all_errors_of_all_files(files: dict[str, Path]):
    result = adaptune("validate", *files.values(), "missing.yaml")
    assert result.returncode == 2
    places = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert places == [f"{files['bad']}:4:1", f"{files['bad']}:5:9", f"{files['cluster']}:2:1", "missing.yaml"]
    assert result.stdout == f"{files['good']}: a sweep of recommendation, 1 grid point x 1 seed\n"


def test_validate_as_json(files: dict[str, Path]):
    result = adaptune("validate", "--json", *files.values())
    assert (result.returncode, result.stderr) == (2, "")
    good, bad, cluster = json.loads(result.stdout)["files"]
    assert good == {"file": str(files["good"]), "errors": []}
    assert [(error["line"], error["column"]) for error in bad["errors"]] == [(4, 1), (5, 9)]
    assert cluster["errors"][0]["message"] == "the key 'type' is missing"


def test_the_schema_is_json():
    result = adaptune("schema")
    assert result.returncode == 0
    assert json.loads(result.stdout)["title"] == "Adaptune sweep"


def test_messages_are_neither_wrapped_nor_markup(tmp_path: Path):
    file = tmp_path / ("long [bold] name " * 10 + ".yaml")
    file.write_text("name: '[red]x'\n" + GOOD)
    result = adaptune("validate", file, COLUMNS="40")
    assert len(result.stderr.splitlines()) == 2
    assert f"{file}:2:1: the key 'name' stands twice" in result.stderr
    assert "got '[red]x'" in result.stderr


@pytest.mark.parametrize("arguments", [("validate",), ("nothing",), ("validate", "--nothing", "x.yaml")])
def test_wrong_usage(arguments: tuple[str, ...]):
    result = adaptune(*arguments)
    assert result.returncode == 2
    assert result.stdout == "" and "Traceback" not in result.stderr
