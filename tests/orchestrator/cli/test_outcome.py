"""What a run says at its end."""

import io
from dataclasses import replace

from rich.console import Console

from orchestrator.cli.run import _print_plan, print_outcome
from orchestrator.planning.plan import make_plan
from orchestrator.running.driver import Outcome
from orchestrator.secure.winner import Judged
from orchestrator.spec.load import sweep_from_values

ENDED = Outcome(
    sweep="captions",
    finished=3,
    stopped_early=0,
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
    print_outcome(Console(file=file, width=200, markup=False), outcome)
    return file.getvalue()


def test_trials_that_were_stopped_early_are_no_failures_and_nothing_to_do_is_said_only_of_nothing():
    line = "captions: 3 trials finished, 2 stopped early, 0 failed, 1 done before, in 12 s\n"
    assert printed(replace(ENDED, stopped_early=2)) == line
    assert "nothing to do" not in printed(replace(ENDED, finished=0, stopped_early=2))
    assert printed(replace(ENDED, finished=0)) == "captions: nothing to do, all 1 trials are done\n"


def test_one_trial_or_minute_is_said_in_the_singular():
    assert printed(replace(ENDED, finished=1)).startswith("captions: 1 trial finished, 0 failed")
    spec = sweep_from_values({"name": "tiny", "task": "recommendation", "data": {"source": "synthetic"}})
    for seconds, minutes in ((0.1, "1 minute"), (3.0, "2 minutes")):
        file = io.StringIO()
        _print_plan(
            Console(file=file, width=200, markup=False),
            replace(make_plan(spec, None), seconds_per_epoch=seconds),
        )
        assert f"40 epochs to train: about {minutes} of one worker" in file.getvalue()


def test_what_the_data_could_not_use_is_said():
    assert printed(ENDED) == "captions: 3 trials finished, 0 failed, 1 done before, in 12 s\n"
    counted = replace(ENDED, left_out={"missing pictures": 2, "pictures in no list": 1000})
    assert (
        printed(counted).splitlines()[1]
        == "left out of the data: missing pictures (2), pictures in no list (1,000)"
    )
    assert counted.to_json()["left_out"] == {"missing pictures": 2, "pictures in no list": 1000}


def test_what_the_preparation_has_to_say_is_said():
    noted = replace(ENDED, notes=("the order [inside] ties decides",))
    assert printed(noted).splitlines()[1] == "on the data: the order [inside] ties decides"
    assert noted.to_json()["notes"] == ["the order [inside] ties decides"]


def test_how_the_winner_stands_over_parties_is_the_last_line():
    said = printed(replace(ENDED, judged=Judged("failed", cause="north: refused"))).splitlines()[-1]
    assert said == (
        "secure evaluation: failed; the sweep's results stand, and the next `run` or `promote` tries again: "
        "north: refused"
    )
    result = {
        "task": "recommendation", "part": "validation", "parties": ["north", "south"], "created": "today",
        "kept": "a.json", "insecure_simulation": True,
        "groups": {"unseen": {"users": 3, "metrics": {}}, "seen": {"users": 50, "metrics": {"auc": 0.75}}},
    }  # fmt: skip
    assert printed(replace(ENDED, judged=Judged("known", result))).splitlines()[-1] == (
        "evaluated on today: NOT SECURE (`insecure_simulation`), over 50 seen users of north, south, "
        "validation part: auc 0.7500; kept: a.json"
    )


def test_a_failed_evaluation_is_a_failure_of_the_run_and_one_that_waits_is_none():
    assert not ENDED.failures_told and replace(ENDED, failed=1).failures_told
    assert replace(ENDED, judged=Judged("failed", cause="x")).failures_told
    assert not replace(ENDED, judged=Judged("by hand", cause="x")).failures_told
