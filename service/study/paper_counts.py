"""The success counts that the paper printed, as data: `python -m service.study.paper_counts`.

Arithmetic on six pairs of numbers from arXiv 1511.06807; nothing is trained. The command writes the
page docs/results/paper-counts, and a test compares the page with what it writes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from service.evidence.independent import Independent
from service.evidence.pairs import Pairs
from service.evidence.rates import Rate

COMMAND = "python -m service.study.paper_counts"
PLACE = Path("docs/results/paper-counts/README.md")


@dataclass(frozen=True)
class Count:
    """Successes without and with gradient noise, of n runs each.

    Attributes:
        name: what is counted, for a table.
        plain, noisy: successful runs without and with noise.
        n: runs in each arm.
    """

    name: str
    plain: int
    noisy: int
    n: int

    @property
    def arms(self) -> Independent:
        """The noisy arm against the plain one, as if their runs were unrelated."""
        return Independent(Rate(self.noisy, self.n), Rate(self.plain, self.n))

    def pairs(self, both: int) -> Pairs:
        """The paired table, had so many pairs succeeded in both arms."""
        only_noisy, only_plain = self.noisy - both, self.plain - both
        return Pairs(both, only_noisy, only_plain, self.n - both - only_noisy - only_plain)

    @property
    def extremes(self) -> tuple[Pairs, Pairs]:
        """The paired tables with the fewest and the most pairs that succeeded in both arms."""
        least = max(0, self.plain + self.noisy - self.n)
        return self.pairs(least), self.pairs(min(self.plain, self.noisy))


#: table 6: a Neural GPU on binary multiplication, by the error that counts as success
NEURAL_GPU = (
    Count("Neural GPU, error < 1 %", 28, 58, 7290),
    Count("Neural GPU, error < 2 %", 90, 159, 7290),
    Count("Neural GPU, error < 3 %", 172, 282, 7290),
    Count("Neural GPU, error < 5 %", 387, 570, 7290),
)
#: table 5: a Neural Random-Access Machine on the k-th element of a list, 100 seeds a setting
NRAM = (
    Count("NRAM, HP-1", 1, 5, 100),
    Count("NRAM, HP-2", 0, 22, 100),
    Count("NRAM, HP-3", 3, 7, 100),
)
NRAM_ALL = Count("NRAM, three settings", 4, 34, 300)
#: in the paper's prose: a Neural Programmer on one column, 72 settings of 3 seeds
PROGRAMMER = Count("Neural Programmer", 1, 9, 216)
SEEDS_A_SETTING, SETTINGS = 3, 72


@dataclass(frozen=True)
class Source:
    """What the paper prints, and how surely it is known.

    Attributes:
        experiment: model and task.
        printed: the counts as printed, without and with noise, of so many runs an arm.
        what: what is counted, and where it stands.
        sure: what was read first hand, and what is inferred.
    """

    experiment: str
    printed: str
    what: str
    sure: str


SOURCES = (
    Source(
        "Neural GPU, binary multiplication",
        "28, 90, 172, 387 against 58, 159, 282, 570 of 7,290",
        "table 6: runs with an error below 1, 2, 3, 5 % on 200 digits, trained on 20",
        "counts read first hand; that each row has 7,290 runs, and that these are 729 settings of "
        "10 seeds, is inferred",
    ),
    Source(
        "NRAM, k-th element of a list",
        "1, 0, 3 against 5, 22, 7 of 100",
        "table 5: percent of the same 100 seeds at 100 % accuracy, in three settings",
        "read first hand; as is that the settings are the best three of a large grid search",
    ),
    Source(
        "Neural Programmer, one column",
        "1 against 9 of 216",
        "in prose: runs at 100 % test accuracy, 72 settings of 3 seeds",
        "read first hand; as is that the 9 came from all three seeds",
    ),
)

ALL = (*NEURAL_GPU, NRAM_ALL, *NRAM, PROGRAMMER)


def main(
    folder: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
) -> None:
    """Write the page on the paper's own counts."""
    from service.study.paper_page import page  # noqa: PLC0415 - the page reads this module's data

    place = folder / PLACE
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(page())


if __name__ == "__main__":
    typer.run(main)
