"""What a run says at its end."""

import io
from dataclasses import replace

from rich.console import Console

from orchestrator.cli.run import print_outcome
from orchestrator.running.driver import Outcome

ENDED = Outcome(
    sweep="captions",
    finished=3,
    failed=0,
    skipped=1,
    best=None,
    wall_seconds=12.3,
    stopped=False,
    failures={},
    mirror_problems=(),
    left_out={},
)


def printed(outcome: Outcome) -> str:
    file = io.StringIO()
    print_outcome(Console(file=file, width=200), outcome)
    return file.getvalue()


def test_what_the_data_could_not_use_is_said():
    assert printed(ENDED) == "captions: 3 trials finished, 0 failed, 1 were done before, in 12 s\n"
    counted = replace(ENDED, left_out={"missing pictures": 2, "pictures in no list": 1000})
    assert (
        printed(counted).splitlines()[1]
        == "left out of the data: missing pictures (2), pictures in no list (1,000)"
    )
    assert counted.to_json()["left_out"] == {"missing pictures": 2, "pictures in no list": 1000}
