"""Small specs and plans, and outcomes made up for their trials."""

import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from argon2 import PasswordHasher

from models.catalog import experiments
from service.plan import Plan
from service.spec import parse
from workers.messages import Assignment, MetricRecord, Outcome

ROOT = "5eedbed0" * 4
#: argon2 at its lowest cost: the keys that it protects are made up
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def spec(**changes: Any) -> dict[str, Any]:
    """A small spec: 2 arms x 2 settings x 6 seeds in cohorts of 2."""
    return {
        "name": "small",
        "experiment": "deep_mlp",
        "fixed": {"depth": 3, "width": 8},
        "arms": {"plain": {"noise_eta": 0.0}, "noisy": {"noise_eta": 0.01}},
        "grid": {"learning_rate": [0.1, 0.2]},
        "seeds": 6,
        "cohort": 2,
        "root": ROOT,
        "budget": {"steps": 200},
        "success": {"metric": "test_accuracy", "at_least": 0.9, "report_at": [0.5, 0.9]},
    } | changes


def plan(**changes: Any) -> Plan:
    """The plan of a small spec."""
    return parse(spec(**changes), experiments())


def moment(seconds: float = 0.0) -> datetime:
    """A fixed moment, and so many seconds later."""
    return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=seconds)


def outcome(task: Assignment, value: float | None = None, **changes: Any) -> Outcome:
    """What a trial might yield: by default its accuracy is decided by its seed."""
    accuracy = [0.95, 0.6, 0.2][task.seed % 3] if value is None else value
    fields: dict[str, Any] = {
        "trial": task.trial,
        "attempt": task.attempt,
        "end_state": "finished",
        "steps": 200,
        "metrics": {"test_accuracy": MetricRecord(accuracy, accuracy, 200)},
        "curve": curve([100, 200], [accuracy / 2, accuracy]),
        "fingerprint": f"{task.setting:x}-{task.seed}-{task.values['noise_eta']}",
    }
    return Outcome(**(fields | changes))


def curve(steps: list[int], accuracies: list[float | None]) -> bytes:
    """Evaluations, as a worker records them."""
    content = {"steps": steps, "metrics": {"test_accuracy": accuracies}}
    return zlib.compress(json.dumps(content).encode())


NUMERICS = {"code": "one", "torch": "2", "tile": "any"}
