"""Plans in the store: written at submission, read back equal."""

import json
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.orm import Session

from service.evidence.stopping import rule_of
from service.plan import Arm, Cell, Contrast, Criterion, Extension, Plan, Setting, Structure
from service.store.errors import UnknownSweepError
from service.store.pairing import open_counts
from service.store.tables import (
    arm_successes,
    arms,
    cell_successes,
    cells,
    criteria,
    extensions,
    plans_met,
    settings,
    structures,
    sweeps,
)
from workers.messages import Leave, PackSpec


def write_plan(session: Session, sweep: str, plan: Plan, now: datetime) -> None:
    """Writes sweep, arms, settings, structures, cells, criteria and zeroed counters; no trial."""
    session.execute(
        insert(sweeps).values(
            id=sweep,
            name=plan.name,
            experiment=plan.experiment,
            spec={"spec": plan.spec, "contrast": asdict(plan.contrast) if plan.contrast else None},
            state="waiting",
            seeds=plan.seeds,
            cohort=plan.cohort,
            cells=len(plan.cells),
            trials=plan.trials,
            stop=asdict(plan.stop) if plan.stop else None,
            created_at=now,
        )
    )
    by_arm = [0] * len(plan.arms)
    by_structure = [0] * len(plan.structures)
    rows: list[dict[str, Any]] = []
    for cell in sorted(plan.cells, key=lambda c: (c.setting, c.arm)):
        rows.append(asdict(cell) | {"sweep": sweep, "place": by_structure[cell.structure]})
        by_arm[cell.arm] += 1
        by_structure[cell.structure] += 1
    session.execute(
        insert(arms),
        [asdict(a) | {"sweep": sweep, "trials": by_arm[a.index] * plan.seeds} for a in plan.arms],
    )
    session.execute(insert(settings), [asdict(s) | {"sweep": sweep} for s in plan.settings])
    session.execute(
        insert(structures),
        [
            {
                "sweep": sweep,
                "index": s.index,
                "pack": asdict(s.pack),
                "cells": by_structure[s.index],
                "total": by_structure[s.index] * plan.seeds,
            }
            for s in plan.structures
        ],
    )
    session.execute(insert(cells), rows)
    session.execute(
        insert(criteria),
        [criterion_row(sweep, c) for c in plan.criteria],
    )
    session.execute(
        insert(arm_successes),
        [
            {"sweep": sweep, "arm": a.index, "criterion": c.index}
            for a in plan.arms
            for c in plan.criteria
        ],
    )
    open_counts(session, sweep, plan)
    for rule in plan.criteria:
        session.execute(
            insert(cell_successes).from_select(
                ["cell", "criterion"],
                select(cells.c.id, _constant(rule.index)).where(cells.c.sweep == sweep),
            )
        )


def _constant(value: int) -> Any:
    from sqlalchemy import Integer, literal  # noqa: PLC0415 - beside its only use

    return literal(value, Integer)


def plan_of(session: Session, sweep: str) -> Plan:
    """The plan that a sweep was created from.

    Raises:
        UnknownSweepError: there is no such sweep.
    """
    row = session.execute(select(sweeps).where(sweeps.c.id == sweep)).one_or_none()
    if row is None:
        raise UnknownSweepError(sweep)

    def of(table: Any) -> list[Any]:
        query = select(table).where(table.c.sweep == sweep).order_by(table.c.index)
        return list(session.execute(query).mappings())

    contrast = row.spec["contrast"]
    return Plan(
        spec=row.spec["spec"],
        name=row.name,
        experiment=row.experiment,
        root=int(row.spec["spec"]["root"], 16),
        arms=tuple(Arm(r["index"], r["name"], r["overrides"]) for r in of(arms)),
        settings=tuple(Setting(r["index"], r["values"], r["hash"]) for r in of(settings)),
        structures=tuple(Structure(r["index"], pack_of(r["pack"])) for r in of(structures)),
        cells=tuple(
            Cell(r["index"], r["arm"], r["setting"], r["structure"], r["values"]) for r in of(cells)
        ),
        criteria=tuple(criterion(r) for r in of(criteria)),
        contrast=Contrast(**contrast) if contrast else None,
        seeds=row.seeds,
        cohort=row.cohort,
        stop=rule_of(row.stop),
        extensions=extensions_of(session, sweep),
        met=session.scalar(select(plans_met.c.content).where(plans_met.c.sweep == sweep)),
    )


def extensions_of(session: Session, sweep: str) -> tuple[Extension, ...]:
    """How a sweep was extended, first things first."""
    query = select(extensions).where(extensions.c.sweep == sweep).order_by(extensions.c.number)
    return tuple(
        Extension(
            seeds=(r.seeds_before, r.seeds),
            arms=tuple(r.arms),
            grid=r.grid,
            settled=r.settled,
            stopped={"when": r.stopped_when, "cohort": r.stopped_cohort}
            if r.stopped_when
            else None,
        )
        for r in session.execute(query)
    )


def extension_times(session: Session, sweep: str) -> dict[str, Any]:
    """When a sweep was extended, and when its first plan was met if it was extended since."""
    at = select(extensions.c.extended_at).where(extensions.c.sweep == sweep)
    met = session.scalar(select(plans_met.c.met_at).where(plans_met.c.sweep == sweep))
    return {
        "extended_at": [
            moment.isoformat() for moment in session.scalars(at.order_by(extensions.c.number))
        ],
        "first_plan_met_at": met.isoformat() if met else None,
    }


def criterion_row(sweep: str, rule: Criterion) -> dict[str, Any]:
    """A criterion as its row."""
    flags = {"primary": int(rule.primary), "post_hoc": int(rule.post_hoc)}
    return asdict(rule) | flags | {"sweep": sweep}


def criterion(row: RowMapping) -> Criterion:
    """A criterion from its row."""
    fields = {name: row[name] for name in Criterion.__dataclass_fields__}
    return Criterion(
        **fields | {"primary": bool(row["primary"]), "post_hoc": bool(row["post_hoc"])}
    )


@lru_cache(maxsize=4096)
def pack_from(text: str) -> PackSpec:
    """A pack's spec from its stored JSON's text; a dispatcher reads the same ones at each turn."""
    return pack_of(json.loads(text))


def pack_of(content: dict[str, Any]) -> PackSpec:
    """A pack's spec from its stored JSON."""
    leave = content["leave"]
    return PackSpec(**(content | {"leave": Leave(**leave) if leave else None}))
