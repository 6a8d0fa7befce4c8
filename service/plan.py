"""A sweep, resolved: arms, settings, cells, structures, criteria and how positions map to trials.

It is what a spec becomes once it is validated, and what the store writes; all of it is data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.evidence.stopping import Rule
from workers.messages import Comparison, PackSpec


@dataclass(frozen=True)
class Arm:
    """One of the conditions compared."""

    index: int
    name: str
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """One point of the grid; `hash` (32 hex digits) keys its streams."""

    index: int
    values: Mapping[str, Any]
    hash: str


@dataclass(frozen=True)
class Structure:
    """Shared hyper-parameters of trials that may share a pack."""

    index: int
    pack: PackSpec


@dataclass(frozen=True)
class Cell:
    """Arm x setting; `values` are its per-lane hyper-parameters."""

    index: int
    arm: int
    setting: int
    structure: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Criterion:
    """Success is `metric comparison threshold`, at the end or at any evaluation.

    Attributes:
        version: the version of the sweep's criteria at which it appeared; 1 as submitted.
        post_hoc: whether the sweep had an outcome already when it was added.
    """

    index: int
    metric: str
    comparison: Comparison
    threshold: float
    at: Literal["end", "any"]
    primary: bool
    version: int = 1
    post_hoc: bool = False


@dataclass(frozen=True)
class Contrast:
    """The primary contrast: `arm` against `against` (arm names)."""

    arm: str
    against: str
    threshold: float
    effect: float | None
    sided: Literal["two", "greater", "less"]


@dataclass(frozen=True)
class Extension:
    """How a sweep that had finished was extended.

    Attributes:
        seeds: a cell's, before and after.
        arms: names of those that were added.
        grid: hyper-parameter -> values that were added.
        settled: cohorts that were settled before.
        stopped: why and where its stop rule had ended it, if it had.
    """

    seeds: tuple[int, int]
    arms: tuple[str, ...]
    grid: Mapping[str, Sequence[Any]]
    settled: int
    stopped: Mapping[str, Any] | None


@dataclass(frozen=True)
class Plan:
    """Everything that a sweep will run, decided before its first trial.

    `spec` is the normalised spec (JSON values only, root included as 32 hex digits): the same
    spec submitted again with that root gives the same plan and the same findings.
    """

    spec: Mapping[str, Any]
    name: str
    experiment: str
    root: int
    arms: tuple[Arm, ...]
    settings: tuple[Setting, ...]
    structures: tuple[Structure, ...]
    cells: tuple[Cell, ...]
    criteria: tuple[Criterion, ...]
    contrast: Contrast | None
    seeds: int
    cohort: int
    stop: Rule | None = None
    #: how it was extended since, first things first
    extensions: tuple[Extension, ...] = ()
    #: what the report said at its declared n when its first plan was met, if it was extended since
    met: Mapping[str, Any] | None = None

    @property
    def compared(self) -> list[tuple[Arm, Arm]]:
        """The contrasts: the primary one first, then every other arm against the same one."""
        if self.contrast is None:
            return []
        by_name = {arm.name: arm for arm in self.arms}
        first, against = by_name[self.contrast.arm], by_name[self.contrast.against]
        others = [arm for arm in self.arms if arm not in (first, against)]
        return [(arm, against) for arm in (first, *others)]

    @property
    def trials(self) -> int:
        """N, the number of trials that will be recorded."""
        return len(self.cells) * self.seeds

    @property
    def cohorts(self) -> int:
        """The number of cohorts; the last may be short."""
        return -(-self.seeds // self.cohort)


@dataclass(frozen=True)
class Place:
    """Where a position of a queue lies: a cell (by its place in the queue) and a seed."""

    cohort: int
    cell: int
    seed: int


def place(position: int, cells: int, cohort: int) -> Place:
    """Cohort-major order: for each cohort, for each of its seeds, every cell of the structure.

    Cells of one setting are neighbours in the queue, so the members of a pair ride together.
    """
    seed, cell = divmod(position, cells)
    return Place(cohort=seed // cohort, cell=cell, seed=seed)
