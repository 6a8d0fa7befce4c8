"""The drill's sweeps: one spec under one root, so that their findings agree whatever strikes."""

import time
from dataclasses import dataclass
from typing import Any

from deploy.drill.engine import EngineError, query
from service.client import Client, ServiceError, ServiceUnreachableError

PRESET = "deep-mlp-demo"
AWAY = (ServiceUnreachableError, ServiceError)
_COUNTS = """
SELECT count(*), count(DISTINCT (t.cell, t.seed)), count(o.trial),
       count(*) FILTER (WHERE t.state IN ('finished', 'left', 'diverged')),
       coalesce(sum(t.attempt - 1), 0)
FROM trials t LEFT JOIN outcomes o ON o.trial = t.id WHERE t.sweep = '{sweep}'
"""


class LostError(Exception):
    """The drill found what must not be."""


@dataclass(frozen=True)
class Record:
    """What a sweep came to.

    Attributes:
        trials: as planned.
        rows: of trials in the store.
        distinct: of these, different (cell, seed).
        outcomes: in the store.
        trained: trials that ended by training; each has an outcome.
        again: attempts beyond the first, over all trials.
        findings: the hash of its report's findings.
    """

    trials: int
    rows: int
    distinct: int
    outcomes: int
    trained: int
    again: int
    findings: str

    @property
    def exactly_once(self) -> bool:
        """Every trial has one row and one outcome."""
        counts = {self.trials, self.rows, self.distinct, self.outcomes, self.trained}
        return len(counts) == 1


def spec(client: Client, seeds: int, steps: int) -> dict[str, Any]:
    """The demo's own, with so many seeds an arm and steps a trial."""
    found: dict[str, Any] = client.preset(PRESET)["spec"]
    cohort = max(1, seeds // 4)  # two of them in both arms fill the packs of two workers
    return found | {"seeds": seeds, "cohort": cohort, "budget": {"steps": steps}}


def submit(client: Client, body: dict[str, Any], key: str, timeout_s: float = 300.0) -> str:
    """A sweep's id; asked for again under the same key while the service is away."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return str(client.submit(body, key)["id"])
        except AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def progress(client: Client, sweep: str) -> dict[str, Any] | None:
    """Its progress, or None while the service is away."""
    try:
        return client.progress(sweep)
    except AWAY:
        return None


def ended(client: Client, sweep: str) -> int | None:
    """How many trials have ended, or None while nobody says."""
    found = progress(client, sweep)
    return None if found is None else int(found["ended"])


def moved(client: Client, sweep: str, since: int, timeout_s: float) -> bool:
    """Waits until more trials than `since` have ended; whether the sweep still runs then.

    Raises:
        LostError: nothing moved in time, or the sweep stopped otherwise than finished.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = progress(client, sweep)
        if found is not None:
            if found["state"] not in {"waiting", "running", "finished"}:
                raise LostError(f"sweep {sweep} is {found['state']}: {found['reason']}")
            if found["state"] == "finished":
                return False
            if found["ended"] > since:
                return True
        time.sleep(0.5)
    raise LostError(f"sweep {sweep}: no trial more than {since} ended within {timeout_s:.0f} s")


def finish(client: Client, sweep: str, timeout_s: float) -> Record:
    """Waits for the end and takes the record.

    Raises:
        LostError: it did not finish in time, or stopped otherwise.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = progress(client, sweep)
        if found is not None and found["state"] == "finished":
            return _record(client, sweep, int(found["trials"]))
        if found is not None and found["state"] not in {"waiting", "running"}:
            raise LostError(f"sweep {sweep} is {found['state']}: {found['reason']}")
        time.sleep(1.0)
    raise LostError(f"sweep {sweep} did not finish within {timeout_s:.0f} s")


def _record(client: Client, sweep: str, trials: int) -> Record:
    deadline = time.monotonic() + 120.0
    while True:
        try:
            counts = query(_COUNTS.format(sweep=sweep)).split("|")
            findings = client.report(sweep, "json")["findings_hash"]
        except (*AWAY, EngineError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
            continue
        rows, distinct, outcomes, trained, again = map(int, counts)
        return Record(trials, rows, distinct, outcomes, trained, again, str(findings))
