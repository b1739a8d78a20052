"""The order in which jobs are handed out."""

from collections.abc import Iterator
from typing import Any

from orchestrator.running.jobs import EvaluateJob
from orchestrator.running.queue import JobQueue


def line(asked: list[str], name: str, *stages: list[str]) -> Iterator[list[Any]]:
    for number, stage in enumerate(stages):
        asked.append(f"{name} {number}")
        yield stage


def test_a_stage_waits_for_the_one_before_in_its_line_and_a_round_for_all_lines() -> None:
    asked: list[str] = []
    model = line(asked, "model", ["m1", "m2"], ["m3"])
    baseline = line(asked, "baseline", ["b1"], [], ["b2"])
    queue = JobQueue(iter([[model, baseline], [line(asked, "closing", ["c1"])]]))
    assert asked == []
    assert queue.fill() and asked == ["model 0", "baseline 0"]
    assert [queue.take(key) for key in "1234"] == ["m1", "m2", "b1", None]
    assert not queue.over and len(asked) == 2

    queue.ended("3")
    assert queue.take("4") == "b2" and asked[2:] == ["baseline 1", "baseline 2"]
    queue.ended("1")
    assert queue.take("5") is None, "m2 still runs"
    queue.ended("2")
    assert queue.take("5") == "m3"
    queue.ended("5")
    assert queue.take("6") is None and not queue.over, "b2 still runs"
    queue.ended("4")
    assert queue.take("6") == "c1"
    queue.ended("6")
    assert queue.take("7") is None and queue.over


def test_without_a_job_all_is_over_at_once() -> None:
    asked: list[str] = []
    queue = JobQueue([[line(asked, "model", [], []), line(asked, "baseline")], [line(asked, "closing", [])]])
    assert not queue.fill() and queue.over
    assert asked == ["model 0", "model 1", "closing 0"]


def test_evaluations_come_first_and_then_what_the_next_stage_of_any_line_waits_for() -> None:
    evaluation = EvaluateJob("trial", "model", "model", "folder", None, ())
    model, baseline = ["m1"], ["b1", "b2", "b3"]
    queue = JobQueue([[iter([model, [evaluation, "ablation"]]), iter([baseline, ["b4"]]), iter([["rules"]])]])
    assert [queue.take("1"), queue.take("2")] == ["m1", "b1"]
    queue.ended("1")
    assert [queue.take(key) for key in "3456"] == [evaluation, "b2", "b3", "rules"]
    assert queue.take("7") == "ablation" and queue.take("8") is None
    for key in "2345":
        queue.ended(key)
    assert queue.take("8") == "b4"
