"""Every figure by its name, and all that they are drawn from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

from service.evidence.curve import decode
from service.plan import Plan
from service.report.figures.courses import Course, courses, seeds_read
from service.report.figures.difference import difference
from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.grid import grid
from service.report.figures.rates import cells, rates
from service.report.figures.spread import ecdf
from service.report.figures.waiting import survival
from service.report.sample import Sample, read
from service.store.curves import settled_curves
from service.store.plans import plan_of


@dataclass(frozen=True)
class Material:
    """What figures are drawn from, settled cohorts only; what no figure asks for is not read.

    Attributes:
        session: the one that the report was built in, which sees the store at one moment.
        sweep: its id.
        plan: the sweep's.
        findings: of its report.
    """

    session: Session
    sweep: str
    plan: Plan
    findings: Mapping[str, Any]

    @cached_property
    def sample(self) -> Sample:
        """Every settled trial."""
        return read(self.session, self.sweep, self.plan)

    @cached_property
    def curves(self) -> Sequence[Course]:
        """Evaluation curves of the first seeds."""
        streamed = settled_curves(self.session, self.sweep, seeds_read(self.plan))
        return tuple(Course(arm, state, decode(curve)) for arm, state, curve in streamed)


_DRAWN: Mapping[str, Callable[[Material], Figure | NotDrawn]] = {
    "rates": lambda m: rates(m.findings),
    "difference": lambda m: difference(m.plan, m.sample),
    "ecdf": lambda m: ecdf(m.findings),
    "survival": lambda m: survival(m.findings),
    "courses": lambda m: courses(m.plan, m.curves),
    "grid": lambda m: grid(m.findings),
    "cells": lambda m: cells(m.findings),
}
#: what a figure may be asked for by
NAMES = tuple(_DRAWN)


def gather(session: Session, sweep: str, findings: Mapping[str, Any]) -> Material:
    """What figures are drawn from.

    Raises:
        UnknownSweepError: there is no such sweep.
    """
    return Material(session, sweep, plan_of(session, sweep), findings)


def figure(name: str, material: Material) -> Figure | NotDrawn:
    """One figure.

    Raises:
        KeyError: no figure has this name.
    """
    return _DRAWN[name](material)


def every(material: Material) -> Iterator[Figure]:
    """All figures that this sweep has."""
    for name in NAMES:
        found = figure(name, material)
        if isinstance(found, Figure):
            yield found
