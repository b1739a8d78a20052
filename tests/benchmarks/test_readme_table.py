import pytest

from benchmarks.readme_table import END, render, write_into


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}


COMPARISON = {
    "sweep": "small",
    "task": "recommendation",
    "objective": {"metric": "accuracy", "mode": "max"},
    "group": "seen",
    "seeds": [0, 1],
    "rows": [
        {
            "name": "model",
            "role": "model",
            "units": 854,
            "parameters": 12345,
            "metrics": {"accuracy": interval(0.7), "auc": interval(0.75)},
            "against_baseline": {
                "accuracy": {
                    "difference": 0.04,
                    "low": 0.03,
                    "high": 0.05,
                    "p_value": 0.0001,
                    "p_adjusted": 0.0004,
                    "effect_size": None,
                    "detectable": 0.01,
                }
            },
        },
        {
            "name": "popularity",
            "role": "trivial",
            "units": 854,
            "parameters": 0,
            "metrics": {"ndcg@10": interval(0.09)},
            "against_baseline": {},
        },
    ],
}


def test_every_row_has_its_numbers_and_a_dash_where_there_is_none():
    lines = render(COMPARISON).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    header, rule, model, popularity = cells
    assert header[:5] == ["", "parameters", "Accuracy", "minus baseline", "p adjusted"]
    assert len(rule) == len(header) == len(model) == len(popularity)
    assert model[:6] == [
        "**model**",
        "12,345",
        "70.0 % [69.0, 71.0]",
        "+4.0 points [+3.0, +5.0]",
        "< .001",
        "0.750",
    ]
    assert popularity[:6] == ["popularity", *["–"] * 5]  # noqa: RUF001
    assert popularity[header.index("NDCG@10")] == "0.090"
    assert "854 seen users, test part, seeds 0, 1" in lines[-1]


def test_the_table_takes_the_place_of_the_one_before_it(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n<!-- table: small -->\nold\n{END}\nbelow\n<!-- table: other -->\nkept\n{END}\n")
    for _ in range(2):
        write_into(page, COMPARISON)
    table = f"<!-- table: small -->\n{render(COMPARISON)}\n{END}"
    assert page.read_text() == f"above\n{table}\nbelow\n<!-- table: other -->\nkept\n{END}\n"


def test_a_page_without_a_place_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no place")
    with pytest.raises(ValueError, match="no place between <!-- table: small -->"):
        write_into(page, COMPARISON)
    assert page.read_text() == "no place"
