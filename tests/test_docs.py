"""The documentation holds: its links lead somewhere, its commands and sweeps are valid, its reference is current."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer.core
import typer.main

from components.tasks import TASKS
from orchestrator.cli.main import build
from orchestrator.spec.load import load_sweep

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])
KINDS = ("bash", "json", "python", "yaml")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_reference_of_keys_is_what_the_schema_says():
    spec = importlib.util.spec_from_file_location("sweep_file", ROOT / "docs" / "sweep_file.py")
    assert spec and spec.loader
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), "run `python docs/sweep_file.py`"


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_and_trivial_row_is_explained(task: str):
    page = (ROOT / "docs" / "read-the-report.md").read_text(encoding="utf-8")
    tables = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| "))
    named = {label.strip() for cell in tables.splitlines() for label in cell.split(";")}
    info = TASKS[task]
    rows = {*info.trivial, *(name for names in info.oracles.values() for name in names)}
    assert [row for row in rows if f"`{row}`" not in tables] == []
    assert [each.label for each in info.metrics.values() if not _explained(each.label, named)] == []


def _explained(label: str, named: set[str]) -> bool:
    """Whether a label stands in a table alone, or in an enumeration."""
    return any(label.lower() in (name.lower(), *name.lower().split(", ")) for name in named)


@pages
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            assert path.exists(), target
            assert not anchor or anchor in headings(path), target


@pages
def test_commands_and_their_options_exist(page: Path):
    application = typer.main.get_command(build())
    assert isinstance(application, typer.core.TyperGroup)
    for line in "".join(blocks(page, "bash")).splitlines():
        if line.startswith("adaptune "):
            _, name, *arguments = shlex.split(line, comments=True)
            application.commands[name].make_context(name, arguments).close()


@pages
def test_whole_sweep_files_are_valid(page: Path, tmp_path: Path):
    for number, text in enumerate(blocks(page, "yaml")):
        if text.startswith("name:"):
            path = tmp_path / f"{number}.yaml"
            path.write_text(text, encoding="utf-8")
            load_sweep(path)


@pages
def test_python_is_python(page: Path):
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


@pages
def test_no_block_is_of_an_unknown_kind(page: Path):
    opened = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert {kind for kind in opened if kind} <= set(KINDS)
