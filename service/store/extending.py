"""Extending: a finished sweep gets more seeds, settings or arms, and only what is missing runs.

One transaction under the sweep's lock. New cells get queues of their own. Where cohorts are not
whole any more (new cells, or a short last cohort that grows), they and all after them are
unsettled, and settle again in order as the missing trials end. What a stop rule cancelled waits
again; that rule has spoken, and after any extension none is judged where it could have been before.
An extended sweep that was cancelled is taken up again, whether more is added or not.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.orm import Session

from service.plan import Plan
from service.spec.extension import Missing
from service.store.errors import StateConflictError
from service.store.pairing import add_contrasts
from service.store.settling import advance
from service.store.sweeps import lock
from service.store.tables import (
    arm_successes,
    arms,
    cell_successes,
    cells,
    criteria,
    extensions,
    forecasts,
    plans_met,
    settings,
    structures,
    sweeps,
    trials,
)
from service.store.unsettling import unsettle


def extend(
    session: Session,
    sweep: str,
    before: Plan,
    found: Missing,
    met: Mapping[str, Any] | None,
    *,
    now: datetime,
) -> None:
    """Writes what an extension adds, and lets the sweep run on.

    Args:
        before: the plan that `found` was made from.
        met: what the report said at the declared n, if that plan was met as the first.

    Raises:
        StateConflictError: the sweep is neither finished nor extended and cancelled since, has
            changed meanwhile, or was stopped past the seeds that are wanted.
    """
    held = lock(session, sweep)
    plan = found.plan
    _refuse(session, sweep, held, before, plan)
    if met is not None:
        session.execute(
            insert(plans_met).values(sweep=sweep, met_at=held["ended_at"], content=dict(met))
        )
    if len(plan.extensions) > len(before.extensions):
        _note(session, sweep, plan, now)
    spoken = any(e.stopped for e in plan.extensions)
    session.execute(
        update(sweeps)
        .where(sweeps.c.id == sweep)
        .values(
            stopped_when=None,
            stopped_cohort=None,
            judged_after=plan.cohorts
            if spoken
            else max(held["judged_after"], held["settled_cohorts"]),
        )
    )
    short = before.seeds % before.cohort != 0 and plan.seeds > before.seeds
    if found.cells:
        unsettle(session, held, 0)
    elif short:
        unsettle(session, held, before.seeds // before.cohort)
    _wait_again(session, sweep)
    _write(session, sweep, found)
    _count_anew(session, sweep, plan)
    session.execute(delete(forecasts).where(forecasts.c.sweep == sweep))
    advance(session, lock(session, sweep), now)


def _refuse(session: Session, sweep: str, held: RowMapping, before: Plan, plan: Plan) -> None:
    again = held["state"] == "cancelled" and before.extensions
    if held["state"] != "finished" and not again:
        cures = {
            "cancelled": "submit its spec with its root: equal trials, without those cancelled",
            "paused": f"resume it (`seedbed resume {sweep}`) and let it finish",
        }
        raise StateConflictError(
            f"sweep {sweep} is {held['state']}; only a finished sweep is extended, since a plan "
            "that grows while results come in is no plan",
            cures.get(held["state"], f"let it finish (`seedbed watch {sweep}`)"),
        )
    read = (before.seeds, len(before.cells), max(c.version for c in before.criteria))
    if (held["seeds"], held["cells"], held["criteria_version"]) != read:
        raise StateConflictError(
            f"sweep {sweep} was extended, or got criteria, by somebody else meanwhile; nothing was "
            "changed",
            f"look at it (`seedbed show {sweep}`) and ask again",
        )
    last = session.scalar(select(func.max(trials.c.seed)).where(trials.c.sweep == sweep))
    if last is not None and last >= plan.seeds:
        raise StateConflictError(
            f"sweep {sweep} was stopped when trials of {last + 1} seeds a cell had begun, and no "
            f"trial is taken away; {plan.seeds} are fewer",
            f"use seeds {last + 1} or more",
        )


def _note(session: Session, sweep: str, plan: Plan, now: datetime) -> None:
    latest = plan.extensions[-1]
    stopped = latest.stopped or {"when": None, "cohort": None}
    session.execute(
        insert(extensions).values(
            sweep=sweep,
            number=len(plan.extensions),
            extended_at=now,
            seeds_before=latest.seeds[0],
            seeds=latest.seeds[1],
            arms=list(latest.arms),
            grid={k: list(v) for k, v in latest.grid.items()},
            settled=latest.settled,
            stopped_when=stopped["when"],
            stopped_cohort=stopped["cohort"],
        )
    )


def _wait_again(session: Session, sweep: str) -> None:
    """What was cancelled waits again; a cohort never counted it as terminal."""
    cancelled = (trials.c.sweep == sweep) & (trials.c.state == "cancelled")
    back = session.execute(
        update(trials)
        .where(cancelled)
        .values(state="waiting", ended_at=None)
        .returning(trials.c.structure)
    )
    for structure, n in sorted(Counter(r.structure for r in back).items()):
        session.execute(
            update(structures)
            .where(structures.c.sweep == sweep, structures.c.index == structure)
            .values(waiting=structures.c.waiting + n)
        )
    session.execute(update(cells).where(cells.c.sweep == sweep).values(cancelled=0))
    session.execute(update(arms).where(arms.c.sweep == sweep).values(cancelled=0))


def _write(session: Session, sweep: str, found: Missing) -> None:
    """The new rows; what is counted of them is nothing yet."""
    here = {"sweep": sweep}
    size = Counter(cell.structure for cell in found.cells)
    if found.arms:
        session.execute(insert(arms), [asdict(a) | here | {"trials": 0} for a in found.arms])
    if found.settings:
        session.execute(insert(settings), [asdict(s) | here for s in found.settings])
    if not found.cells:
        return
    session.execute(
        insert(structures),
        [
            here
            | {
                "index": s.index,
                "pack": asdict(s.pack),
                "cells": size[s.index],
                "total": size[s.index] * found.plan.seeds,
            }
            for s in found.structures
        ],
    )
    placed: Counter[int] = Counter()
    rows = []
    for cell in sorted(found.cells, key=lambda c: (c.setting, c.arm)):
        rows.append(asdict(cell) | here | {"place": placed[cell.structure]})
        placed[cell.structure] += 1
    session.execute(insert(cells), rows)
    new = [arm.index for arm in found.arms]
    session.execute(
        insert(arm_successes).from_select(
            ["sweep", "arm", "criterion"],
            select(arms.c.sweep, arms.c.index, criteria.c.index)
            .join(criteria, criteria.c.sweep == arms.c.sweep)
            .where(arms.c.sweep == sweep, arms.c.index.in_(new)),
        )
    )
    first = min(cell.index for cell in found.cells)
    session.execute(
        insert(cell_successes).from_select(
            ["cell", "criterion"],
            select(cells.c.id, criteria.c.index)
            .join(criteria, criteria.c.sweep == cells.c.sweep)
            .where(cells.c.sweep == sweep, cells.c.index >= first),
        )
    )
    add_contrasts(session, sweep, found.plan, new)


def _count_anew(session: Session, sweep: str, plan: Plan) -> None:
    """Sizes by the new plan; a cursor stands where its structure's rows end."""
    for arm, n in sorted(Counter(cell.arm for cell in plan.cells).items()):
        session.execute(
            update(arms)
            .where(arms.c.sweep == sweep, arms.c.index == arm)
            .values(trials=n * plan.seeds)
        )
    rows = (
        select(func.count())
        .where(trials.c.sweep == structures.c.sweep, trials.c.structure == structures.c.index)
        .scalar_subquery()
    )
    session.execute(
        update(structures)
        .where(structures.c.sweep == sweep)
        .values(total=structures.c.cells * plan.seeds, position=rows)
    )
    contrast = asdict(plan.contrast) if plan.contrast else None
    session.execute(
        update(sweeps)
        .where(sweeps.c.id == sweep)
        .values(
            spec={"spec": dict(plan.spec), "contrast": contrast},
            seeds=plan.seeds,
            cells=len(plan.cells),
            trials=plan.trials,
            state="waiting",
            reason=None,
            ended_at=None,
        )
    )
