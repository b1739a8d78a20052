"""Every command of the README runs.

On small data, and with settings that shorten the sweeps; both are stated beside the command that they shorten.
An unknown command in the README fails, and so does one here that the README no longer has.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.components.data.samples import write_movielens

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRIALS = re.search(r"`run` trains: (\d+) trials", README)[1]
"""What the README says of the sweep on MovieLens."""
SECONDS = 280

pytestmark = pytest.mark.xdist_group("ray")


def readme_commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    stripped = (re.sub(r"\s+#.*", "", line).strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


@dataclass(frozen=True)
class Place:
    """Where commands run: the repository, with results and MovieLens in a temporary folder."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
        }
        changed = {
            "ADAPTUNE_HOME": self.folder / "runs",
            "ADAPTUNE_DATA": self.folder / "data",
            "OMP_NUM_THREADS": 1,
        }
        return inherited | {name: str(value) for name, value in changed.items()}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("readme"))
    write_movielens(place.folder / "data" / "ml-100k")
    return place


Check = Callable[[Place, str], None]


def adaptune(expected: str, *shortened: str) -> Check:
    """The command as it stands, with `shortened` appended, prints what matches `expected`."""

    def check(place: Place, command: str) -> None:
        program, *arguments = shlex.split(command)
        assert Path(program).name == "adaptune"
        path = str(Path(sysconfig.get_path("scripts")) / "adaptune")
        assert re.search(expected, place.run(path, *arguments, *shortened))

    return check


def setting(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


DEMO: dict[str, Check] = {
    # 60 of 600 users, 1 and 2 instead of 4 and 8 epochs, one seed of two; without the gate that so little cannot pass
    ".venv/bin/adaptune run sweeps/quickstart.yaml": adaptune(
        "quickstart: 9 trials finished, 0 failed",
        *setting("data.users=60", "grid.training.epochs=[1, 2]", "seeds=[0]", "promote.gates=[]"),
    ),
    ".venv/bin/adaptune compare sweeps/quickstart.yaml": adaptune("shuffled-users"),
    ".venv/bin/adaptune report sweeps/quickstart.yaml": adaptune(r"report: .*quickstart\.html"),
    ".venv/bin/adaptune promote sweeps/quickstart.yaml": adaptune("recommendation/1 is now champion"),
    ".venv/bin/adaptune serve --demo": adaptune("6 likes(.|\n)*exactly what was shown before"),
}


def recipe(place: Place, target: str) -> list[str]:
    """What make would do for `target` once everything is installed, beside words of its own."""
    lines = place.run("make", "--dry-run", "--no-print-directory", target).splitlines()
    done = [number for number, line in enumerate(lines) if line.startswith("touch ")]
    steps = lines[done[-1] + 1 :] if done else lines
    return [step for step in steps if step.split()[0] != "echo"]


def make_demo(place: Place, command: str) -> None:
    assert recipe(place, "demo") == list(DEMO)
    for each, check in DEMO.items():
        check(place, each)


def make_test(place: Place, command: str) -> None:
    """One file of tests, in the way in which make runs them all."""
    (line,) = recipe(place, "test")
    program, *arguments = line.split()
    assert program == ".venv/bin/python"
    assert "passed" in place.run(sys.executable, *arguments, "tests/test_setup.py")


def activate(place: Place, command: str) -> None:
    """The folder is the one that make installs into."""
    assert re.search(r"^BIN := \.venv/bin$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def name_the_data(place: Place, command: str) -> None:
    """The place has its own folder, of the same layout."""
    assert "${ADAPTUNE_DATA}/ml-100k" in (ROOT / "sweeps/recommendation-small.yaml").read_text(
        encoding="utf-8"
    )


def split_among_parties(place: Place, command: str) -> None:
    shortened = [*shlex.split(command)[1:-1], str(place.folder / "parties"), *setting("data.users=60")]
    path = str(Path(sysconfig.get_path("scripts")) / "adaptune")
    assert re.search("party-3: 20 users", place.run(path, *shortened))


def evaluate_over_parties(place: Place, command: str) -> None:
    file = str(place.folder / "parties" / "parties.yaml")
    path = str(Path(sysconfig.get_path("scripts")) / "adaptune")
    printed = place.run(path, *shlex.split(command)[1:-1], file)
    assert re.search("Accuracy +0(.|\n)*Semi-honest(.|\n)*Withheld: all of unseen users", printed)


COMMANDS: dict[str, Check] = {
    "make demo": make_demo,
    "make test": make_test,
    ". .venv/bin/activate": activate,
    "export ADAPTUNE_DATA=data": name_the_data,
    "adaptune plan sweeps/recommendation-small.yaml": adaptune(f"{TRIALS} trials: 0 done"),
    # 6 users, 1 and 2 epochs, one seed, one ablation
    "adaptune run sweeps/recommendation-small.yaml": adaptune(
        "recommendation-small: 5 trials finished, 0 failed",
        *setting("grid.training.epochs=[1, 2]", "seeds=[0]"),
        *setting("ablations={no-history: {model.personalization.history: false}}"),
    ),
    "adaptune compare recommendation-small": adaptune("no-history(.|\n)*item-bias"),
    "adaptune report recommendation-small": adaptune(r"report: .*recommendation-small\.html"),
    # the same 60 of 600 users, in a temporary folder
    "adaptune split sweeps/quickstart.yaml --parties 3 --by users --out parties": split_among_parties,
    "adaptune evaluate recommendation/champion --parties parties/parties.yaml": evaluate_over_parties,
}


def test_the_readme_has_exactly_the_commands_that_are_tested_here():
    assert readme_commands() == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_does_what_the_readme_says(command: str, place: Place):
    if command.startswith("make") and shutil.which("make") is None:
        pytest.skip("make is not installed")
    COMMANDS[command](place, command)
