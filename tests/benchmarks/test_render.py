"""docs/bench.md and its chart, from results that no machine measured."""

from pathlib import Path

from tests.benchmarks.chart import draw
from tests.benchmarks.render import markdown
from tests.benchmarks.results import results


def lines(page: str, start: str) -> list[str]:
    """The table lines of a page that start with a name."""
    return [line for line in page.splitlines() if line.startswith(f"| {start} |")]


def test_a_training_row_has_its_width_its_rate_and_its_ratios() -> None:
    page = markdown(results())
    assert lines(page, "Seedbed engine") == [
        "| Seedbed engine | 32 | 1,000 | 1.000 | 1.250 | 0.00 | 4.00 | 2.00 | 2.0 |"
    ]


def test_a_refused_row_shows_its_reason_and_no_number() -> None:
    page = markdown(results())
    assert not lines(page, "torch.func.vmap")
    assert "- torch.func.vmap: **refused**: its law fails: AssertionError: trial 3" in page


def test_the_engine_is_a_share_of_the_roof() -> None:
    roof = lines(markdown(results()), "deep_mlp, noise")
    assert roof == ["| deep_mlp, noise | 0.100 | 0.100 | 0.100 | 0.200 | 5.00 | 2,000 | 50 % |"]


def test_whole_sweeps_are_compared_with_seedbed() -> None:
    page = markdown(results())
    assert lines(page, "Ray Tune") == ["| Ray Tune | 0.25 | 4 and 16 | 2.0 and 8.0 | 24.00 | 9.0 |"]
    assert "1.90 times (deep_mlp, noise)" in page
    assert "98.7 % of 8 lanes" in page


def test_the_page_says_command_machine_date_calibration_and_what_is_not_built() -> None:
    page = markdown(results())
    for words in (
        "`seedbed bench` on 2026-11-25, 3 repeats",
        "a machine, 2 cores",
        "68.0 and 67.0",
    ):
        assert words in page
    assert "## Control plane\n\nnot built" in page
    assert "A quick run" not in page


def test_rows_of_the_control_plane_are_shown_as_they_come() -> None:
    found = results()
    found.control = [{"name": "stub trials", "value": 3211.4, "unit": "outcomes/s"}]
    assert "| stub trials | 3,211 | outcomes/s |  |" in markdown(found)


def test_a_quick_run_is_labelled() -> None:
    found = results()
    found.quick = True
    assert "Its numbers prove nothing" in markdown(found)


def test_equal_results_give_an_equal_chart(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(results(), tmp_path / name)
    one, two = ((tmp_path / name).read_text() for name in ("one.svg", "two.svg"))
    assert one == two
    assert "Seedbed engine" in one or "<svg" in one
