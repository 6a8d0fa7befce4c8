"""A row of the bench: what it is, what every repeat of it found, or why it is refused."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    """One thing that is measured once a repeat.

    Attributes:
        group: the table it belongs to: a workload's name, "whole sweep", "roof", ...
        name: its name in the table.
        measure: the probe that measures it.
        arguments: of that probe.
        pinned: whether it may use only one core.
        curve: width -> rate of the search, where there was one.
        refused: why no number of it is printed, or None.
        samples: one result a repeat.
    """

    group: str
    name: str
    measure: str
    arguments: dict[str, Any] = field(default_factory=dict)
    pinned: bool = True
    curve: dict[str, float] = field(default_factory=dict)
    refused: str | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)

    def column(self, key: str) -> list[float]:
        """One number of every repeat."""
        return [float(sample[key]) for sample in self.samples]


@dataclass
class Results:
    """Everything that one run found.

    Attributes:
        rows: in the order of the tables.
        calibration: before and after.
        machine: in words.
        control: rows of the control plane, None where it is not built.
        notes: what a reader must know, such as a machine that was not idle.
        command: what was typed.
        date: of the run.
        repeats: of every row.
        quick: whether it was a smoke run.
    """

    rows: list[Row]
    calibration: list[dict[str, float]]
    machine: str
    control: list[dict[str, Any]] | None
    notes: list[str]
    command: str
    date: str
    repeats: int
    quick: bool

    def group(self, name: str) -> list[Row]:
        """The rows of one table."""
        return [row for row in self.rows if row.group == name]
