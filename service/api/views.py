"""The JSON shapes of the API, made from what the store gives."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from service.api.evidence import evidence_json, rate_json, stop_json
from service.store.progress import Progress
from service.store.sweeps import CODE_CHANGED, FAILING, SweepView
from service.store.tables import HAS_OUTCOME
from service.store.trials import TrialView


def moment(value: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return None if value is None else value.astimezone(UTC).isoformat()


def cure_of(view: SweepView) -> str | None:
    """What to do about a sweep that the service paused, though a user may have since."""
    if view.reason == FAILING:
        return (
            "mend what its first trials died of and submit it again, or let it go on with "
            f"`seedbed resume {view.id}`: it is not paused for this twice"
        )
    if view.reason == CODE_CHANGED:
        back = "go back and it goes on by itself"
    elif view.state == "paused" and view.offered_class is not None:  # a user paused it since
        back = f"go back and let it go on with `seedbed resume {view.id}`"
    else:
        return None
    return (
        f"the code or machine that trains changed; accept that results will be of both numerics "
        f"classes with `seedbed resume {view.id} --accept-class {view.offered_class}`, or {back}"
    )


def sweep_json(
    view: SweepView, progress: Progress, share: float | None, *, whole: bool = True
) -> dict[str, Any]:
    """A sweep; in a list without its spec and evidence."""
    base = f"/api/v1/sweeps/{view.id}"
    body: dict[str, Any] = {
        "id": view.id,
        "name": view.name,
        "experiment": view.experiment,
        "state": view.state,
        "reason": view.reason,
        "cure": cure_of(view),
        "failing": view.failing if view.reason == FAILING else None,
        "offered_class": view.offered_class,
        "created_at": moment(view.created_at),
        "started_at": moment(view.started_at),
        "ended_at": moment(view.ended_at),
        "owner": view.owner,
        "priority": view.priority,
        "labels": list(view.labels),
        "note": view.note,
        "trials": view.trials,
        "classes": list(view.classes),
        "criteria_version": view.criteria_version,
        "progress": progress_json(progress, share, with_evidence=whole),
        "links": {
            "self": base,
            "progress": f"{base}/progress",
            "trials": f"{base}/trials",
            "report": f"{base}/report",
            "page": f"/sweeps/{view.id}",
        },
    }
    if whole:
        body["spec"] = view.spec["spec"]
    return body


def progress_json(
    progress: Progress, share: float | None, *, with_evidence: bool = True
) -> dict[str, Any]:
    """Counters. What arrived is one number an arm: with `leave` even its kinds tell successes.

    End states, successes and evidence are of settled cohorts only; errored and cancelled are
    nobody's. `evidence` and every `anytime` are None where they are left out.
    """
    return {
        "state": progress.state,
        "reason": progress.reason,
        "trials": progress.trials,
        "ended": progress.ended,
        "running": progress.running,
        "running_share": share,
        "cohorts": {"total": progress.cohorts, "settled": progress.settled_cohorts},
        "arms": [
            {
                "name": arm.name,
                "trials": arm.trials,
                "running": arm.running,
                "ended": sum(arm.ended.values()),
                "errored": arm.ended["errored"],
                "cancelled": arm.ended["cancelled"],
                "settled": {
                    "trials": arm.settled_trials,
                    "end_states": dict(arm.settled),
                    "successes": [
                        {
                            "metric": rule.metric,
                            "comparison": rule.comparison,
                            "threshold": rule.threshold,
                            "at": rule.at,
                            "primary": rule.primary,
                            "version": rule.version,
                            "post_hoc": rule.post_hoc,
                            "successes": won,
                            "anytime": rate_json(progress, index, rule.index)
                            if with_evidence
                            else None,
                        }
                        for rule, won in zip(progress.criteria, arm.successes, strict=True)
                    ],
                },
            }
            for index, arm in enumerate(progress.arms)
        ],
        "stop": stop_json(progress),
        "extended": progress.extended,
        "evidence": evidence_json(progress) if with_evidence else None,
        **eta_json(progress, datetime.now(UTC)),
    }


def eta_json(progress: Progress, now: datetime) -> dict[str, Any]:
    """Seconds to the end of the whole plan and a 90 % interval; None where they are not known."""
    if progress.state != "running" or progress.forecast is None:
        return {"eta_s": None, "eta_interval_s": None}
    seconds, interval = progress.forecast.at(now)
    edges = None if interval is None else [round(edge, 1) for edge in interval]
    return {"eta_s": round(seconds, 1), "eta_interval_s": edges}


def weights_json(kept: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Size and checksum of weights that were kept; where they lie is the service's own affair."""
    return None if kept is None else {key: kept[key] for key in ("bytes", "sha256")}


def trial_json(view: TrialView, *, with_traceback: bool = False) -> dict[str, Any]:
    """A trial; while its cohort is not settled an outcome is said to have arrived, no more."""
    arrived = not view.settled and view.state in HAS_OUTCOME
    body = {
        "id": view.id,
        "sweep": view.sweep,
        "arm": view.arm,
        "setting": dict(view.setting),
        "cell": view.cell,
        "seed": view.seed,
        "cohort": view.cohort,
        "settled": view.settled,
        "state": "arrived" if arrived else view.state,
        "attempt": view.attempt,
        "steps": None if arrived else view.steps,
        "metrics": {} if arrived else {name: vars(m) for name, m in view.metrics.items()},
        "successes": {} if arrived else {str(k): won for k, won in view.successes.items()},
        "fingerprint": None if arrived else view.fingerprint,
        "weights": None if arrived else weights_json(view.weights),
        "numerics": view.numerics,
        "worker": view.worker,
        "claimed_at": moment(view.claimed_at),
        "ended_at": moment(view.ended_at),
        "error": view.error,
    }
    if with_traceback:
        body["traceback"] = view.traceback
    return body
