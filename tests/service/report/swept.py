"""Sweeps for tests of figures and exports: every figure can be drawn of them."""

import io
import random
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from service.report.build import Report, build
from service.report.figures.catalogue import Material, gather
from service.report.outcomes import write_outcomes
from service.store.plans import plan_of
from tests.service.report.test_findings import claim, complete, create
from tests.service.samples import curve, outcome, plan
from workers.messages import Assignment, Failure, MetricRecord, Outcome

Sessions = sessionmaker[Session]

#: success at any evaluation, over a grid of two keys: 2 arms x 6 settings x 6 seeds
ANY: dict[str, Any] = {
    "grid": {"learning_rate": [0.1, 0.2, 0.3], "init_std": [0.1, 0.2]},
    "success": {"metric": "test_accuracy", "at_least": 0.9, "at": "any", "report_at": [0.5, 0.9]},
}


def made(task: Assignment) -> Outcome | Failure:
    """Noisy succeeds at seeds 0 to 3, plain at 0 and 1; one diverges, one is lost."""
    noisy, slow = task.values["noise_eta"] > 0, task.values["learning_rate"] > 0.15
    if task.seed == 5 and not noisy and slow:
        return Failure(task.trial, task.attempt, "the card fell off the bus", "")
    if task.seed == 5 and noisy and slow:
        nothing = {"test_accuracy": MetricRecord(None, 0.3, 100)}
        return outcome(
            task, end_state="diverged", steps=150, metrics=nothing, curve=curve([100], [0.3])
        )
    good = task.seed < (4 if noisy else 2)
    final = (0.92 if good else 0.4) + task.seed / 100
    at = [0.2, final - 0.01 if slow else 0.3, final]
    return outcome(task, final, curve=curve([50, 100, 200], at))


def finished(sessions: Sessions, yields: Any = made, **changes: Any) -> str:
    """A sweep that is run to its end."""
    sweep = create(sessions, **changes)
    queues = [structure.index for structure in plan(**changes).structures]
    while taken := [t for q in queues for t in claim(sessions, sweep, 64, structure=q)]:
        complete(sessions, [yields(t) for t in taken], attempts=1)
    return sweep


def shuffled(sessions: Sessions, seed: int, **changes: Any) -> str:
    """The same sweep by many workers, in any order, with attempts that fail and are tried again."""
    chance = random.Random(seed)
    sweep = create(sessions, **changes)
    out: list[Assignment] = []
    while True:
        out += claim(sessions, sweep, chance.randint(1, 9), worker=f"w{chance.random()}")
        if not out:
            return sweep
        task = out.pop(chance.randrange(len(out)))
        back = made(task)
        lost = isinstance(back, Failure)
        again = not lost and task.attempt < 3 and chance.random() < 0.3
        when = chance.random() * 1000
        returned = Failure(task.trial, task.attempt, "lost", "") if again else back
        complete(sessions, [returned], when, attempts=1 if lost else 99)


def material(sessions: Sessions, sweep: str) -> tuple[Report, Material]:
    """A sweep's report, and what its figures are drawn from."""
    with sessions() as session:
        report = build(session, sweep)
        found = gather(session, sweep, report.findings)
        _ = found.sample, found.curves  # read while the session is open
        return report, found


def parquet(sessions: Sessions, sweep: str) -> bytes:
    """Its outcomes as a file."""
    file = io.BytesIO()
    with sessions() as session:
        write_outcomes(session, sweep, plan_of(session, sweep), file)
    return file.getvalue()
