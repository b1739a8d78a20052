"""Who may import whom, what an import may cost, and how long a file may be."""

import ast
import resource
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("components", "orchestrator", "serve")
LONGEST_FILE = 450
HELP_RATIO = 1.6
"""Processor time of `adaptune --help` by that of importing what draws it, at most."""


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that a file imports, at whatever depth it does so."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = [*package[: len(package) - node.level + 1]] if node.level else []
            origin += [node.module] if node.module else []
            yield from ((node.lineno, ".".join([*origin, alias.name])) for alias in node.names)


def imported_below(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def offending(folder: str, *prefixes: str, allowed: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: imports {name}"
        for path in sources(folder)
        for line, name in imports(path)
        if imported_below(name, *prefixes) and not imported_below(name, *allowed)
    ]


def test_the_import_reader_sees_every_form(tmp_path, monkeypatch):
    folder = tmp_path / "serve" / "deep"
    folder.mkdir(parents=True)
    file = folder / "module.py"
    file.write_text(
        "import ray.serve as s\ndef f():\n    from ray import tune, data\n    from ..engine import Engine\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert list(imports(file)) == [
        (1, "ray.serve"),
        (3, "ray.tune"),
        (3, "ray.data"),
        (4, "serve.engine.Engine"),
    ]


def test_components_know_nothing_of_what_runs_them():
    assert not offending("components", "ray", "wandb", "orchestrator", "serve")


def test_the_orchestrator_does_not_know_the_server():
    assert not offending("orchestrator", "serve")


def test_the_server_knows_the_registry_and_the_ledger_alone():
    assert not offending(
        "serve", "orchestrator", allowed=("orchestrator.release.registry", "orchestrator.records.ledger")
    )


def test_tune_data_and_wandb_live_in_the_orchestrator():
    assert not offending("serve", "ray.tune", "ray.data", "ray.train", "wandb")


def test_ray_serve_lives_in_the_server():
    assert not offending("orchestrator", "ray.serve")


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package):
    program = f"import sys, {package}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "torch",
        "lightning",
        "ray",
        "pandas",
        "numpy",
        "pyarrow",
        "wandb",
        "sqlalchemy",
        "pydantic",
        "typer",
    }
    assert not heavy.intersection(loaded)


def test_files_stay_short_enough_to_hold_one_idea():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PACKAGES, "tests", "benchmarks")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}


def test_help_answers_at_once():
    """Measured by what its drawing alone takes, in turns: seconds would measure what else the machine is doing."""
    command = Path(sysconfig.get_path("scripts")) / "adaptune"
    ours, drawing = [], []
    for _ in range(8):
        ours.append(processor_seconds(command, "--help"))
        drawing.append(processor_seconds(sys.executable, "-c", "import importlib.metadata, typer.rich_utils"))
        if min(ours) < HELP_RATIO * min(drawing):
            break
    assert min(ours) < HELP_RATIO * min(drawing)


def processor_seconds(*command: str | Path) -> float:
    """Run a command; return the processor time that it took, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
