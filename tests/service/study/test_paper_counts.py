"""The page on the paper's own counts: as committed, and its numbers by other routes."""

from dataclasses import replace
from math import comb
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from service.study import paper_counts, paper_page
from service.study.paper_counts import ALL, NEURAL_GPU, NRAM, NRAM_ALL, PLACE, PROGRAMMER, Count
from service.study.paper_page import bands, needed, page

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def text() -> str:
    return page()


def test_the_command_writes_the_page_that_is_committed(tmp_path: Path) -> None:
    """Byte for byte."""
    app = typer.Typer()
    app.command()(paper_counts.main)
    found = CliRunner().invoke(app, ["--folder", str(tmp_path)])
    assert found.exit_code == 0
    assert (tmp_path / PLACE).read_bytes() == (ROOT / PLACE).read_bytes()


def test_the_counts_are_the_papers() -> None:
    """PAPER.md sections 2.3 to 2.5, typed in once more."""
    assert [(c.plain, c.noisy, c.n) for c in NEURAL_GPU] == [
        (28, 58, 7290), (90, 159, 7290), (172, 282, 7290), (387, 570, 7290)
    ]  # fmt: skip
    assert (PROGRAMMER.plain, PROGRAMMER.noisy, PROGRAMMER.n) == (1, 9, 216)
    assert [(c.plain, c.noisy) for c in NRAM] == [(1, 5), (0, 22), (3, 7)]
    assert (
        Count(
            NRAM_ALL.name,
            sum(c.plain for c in NRAM),
            sum(c.noisy for c in NRAM),
            sum(c.n for c in NRAM),
        )
        == NRAM_ALL
    )


def test_every_count_stands_on_the_page_with_what_is_known_of_it(text: str) -> None:
    for count in ALL:
        for k in (count.plain, count.noisy):
            assert f"| {k} / {count.n:,} |" in text
    for source in paper_counts.SOURCES:
        assert source.printed in text
        assert source.sure in text
    assert paper_counts.COMMAND in text


def test_numbers_that_are_known_from_elsewhere_stand_on_the_page(text: str) -> None:
    """STATISTICS.md section 3, by statsmodels and another session."""
    for known in ("+0.41 [0.16, 0.67] | 2.07 [1.33, 3.24]",
                  "+0.95 [0.53, 1.37] | 1.77 [1.37, 2.28]",
                  "+2.51 [1.71, 3.32] | 1.47 [1.30, 1.67]"):  # fmt: skip
        assert known in text
    assert [needed(count) for count in (NEURAL_GPU[0], NEURAL_GPU[3])] == pytest.approx(
        [7049, 2027], abs=1
    )


def test_the_programmers_fisher_p_is_that_of_whole_numbers(text: str) -> None:
    """One-sided 0.010, as PAPER.md has it; two-sided it is twice that, by symmetry."""
    ways = sum(comb(216, k) * comb(216, 10 - k) for k in (9, 10))
    one_sided = ways / comb(432, 10)
    assert one_sided == pytest.approx(0.010, abs=5e-4)
    assert f"Fisher p {2 * one_sided:.3f}" in text


def test_bands_share_no_run_and_add_up_to_the_loosest_threshold() -> None:
    assert sum(band.plain for band in bands()) == NEURAL_GPU[-1].plain
    assert sum(band.noisy for band in bands()) == NEURAL_GPU[-1].noisy
    assert [band.plain for band in bands()] == [28, 62, 82, 215]


@pytest.mark.parametrize("count", ALL, ids=lambda count: count.name)
def test_the_extreme_tables_bound_mcnemars_p_over_every_overlap(count: Count) -> None:
    """Every table with those margins, one after another."""
    least, most = count.extremes
    possible = [count.pairs(both).mcnemar() for both in range(least.both, most.both + 1)]
    assert max(possible) == pytest.approx(least.mcnemar())
    assert min(possible) == pytest.approx(most.mcnemar())
    for table in (least, most):
        assert min(table.both, table.only_a, table.only_b, table.neither) >= 0
        assert table.both + table.only_a == count.noisy
        assert table.both + table.only_b == count.plain


def test_the_page_is_told_apart_from_one_with_another_count(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """What the comparison is for: a count changed in the data changes the page."""
    monkeypatch.setattr(paper_page, "ALL", (replace(ALL[0], noisy=59), *ALL[1:]))
    assert page() != text
