import json

import pytest

from benchmarks import secure_evaluation
from benchmarks.secure_evaluation import judged, table
from tests.components.privacy.seats import ROOT


def row(**changed):
    figures = {
        "model": "dot product", "parties": 2, "by": "Adaptune", "seconds": [2.5, 1.9], "cpu": 0.5, "plain": 0.001,
        "bytes": 39_000_000, "rounds": 23, "counts": [1], "plain counts": [1], "equal": True,
    }  # fmt: skip
    return {**figures, **changed}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "met (2 s, 40 MB)"),
        ({"seconds": [2.5, 2.1]}, "MISSED (2 s, 40 MB)"),
        ({"bytes": 41_000_000}, "MISSED (2 s, 40 MB)"),
        ({"model": "MLP 128-128-1", "bytes": 90_000_000, "seconds": [7.9]}, "met (8 s)"),
        ({"model": "MLP 128-128-1", "seconds": [8.1]}, "MISSED (8 s)"),
        ({"parties": 3}, ""),
        ({"by": "SPU"}, ""),
    ],
)
def test_targets_are_judged_by_the_best_run_and_the_bytes(changed, said):
    assert judged(row(**changed), 10_000) == said
    assert judged(row(**changed), 1_000) == ""


@pytest.mark.parametrize(("changed", "code"), [({}, 0), ({"seconds": [3.0]}, 1), ({"equal": False}, 1)])
def test_a_miss_or_a_difference_ends_with_code_1(monkeypatch, capsys, changed, code):
    monkeypatch.setattr(secure_evaluation, "run_seats", lambda *arguments, **options: [row(**changed)])
    monkeypatch.setattr("sys.argv", ["secure_evaluation", "--parties", "2"])
    with pytest.raises(SystemExit) as ended:
        secure_evaluation.main()
    assert ended.value.code == code
    out = capsys.readouterr().out
    assert ("MISSED" in out) == ("seconds" in changed) and (" NO " in out) == ("equal" in changed)


def test_what_spu_prints_stands_in_the_same_table(tmp_path, monkeypatch):
    said = [
        {key: value for key, value in row(by="SPU 0.9.5").items() if key not in ("plain", "equal")},
        {"model": "MLP 128-128-1", "by": "SPU 0.9.5", "failed": "no such thing"},
    ]
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\necho '[info] noise'\n" + "".join(f"echo '{json.dumps(each)}'\n" for each in said)
    )
    python.chmod(0o755)
    rows = [{**each, "target": ""} for each in secure_evaluation.spu_rows(str(python), 10_000, 1)]
    lines = table(rows).splitlines()
    assert "SPU 0.9.5" in lines[1] and lines[1].rstrip().endswith("yes")
    assert "failed: no such thing" in lines[2]


def test_the_script_for_spu_imports_nothing_of_ours():
    text = (ROOT / "benchmarks/secure_evaluation_spu.py").read_text()
    assert not [
        line for line in text.splitlines() if "import components" in line or "from components" in line
    ]
    assert "from benchmarks" not in text and "from orchestrator" not in text


@pytest.mark.slow
def test_two_parties_compute_all_workloads():
    plan = secure_evaluation.Plan(200, 2, 1)
    rows = secure_evaluation.run_seats(secure_evaluation.measure, plan, 2)
    assert [each["equal"] for each in rows] == [True] * 4
