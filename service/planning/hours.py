"""How long a plan would train, from speeds that were measured here, or plainly not known."""

from collections.abc import Sequence
from typing import Any

MEASURE = (
    "to measure it, submit it with a few seeds (`--seeds 2`): the service remembers how fast it was"
)


def time_json(
    lane_steps: Sequence[int],
    measured: Sequence[float | None],
    others: Sequence[float],
    *,
    workers: int,
    may_leave: bool,
) -> dict[str, Any]:
    """Device-hours and seconds as [low, high], or null with what to do.

    Structures that trained here before take their own measured speed. The rest takes the slowest
    and the fastest of the same experiment's structures, and the answer says so. Without any, no
    number is given.

    Args:
        lane_steps: of each structure of the plan, what it would train at most.
        measured: of each structure, its own speed in lane-steps a second of one worker, where it
            has one.
        others: speeds of all structures of the experiment.
        workers: that are ready now.
        may_leave: whether trials may end before their budget is spent.
    """
    own = sum(speed is not None for speed in measured)
    answer: dict[str, Any] = {
        "lane_steps": sum(lane_steps),
        "structures_measured": own,
        "workers": workers,
        "device_hours": None,
        "seconds": None,
    }
    if not others:
        return {
            "basis": "none",
            **answer,
            "says": "not measured yet: no structure of this experiment has trained here",
            "cure": MEASURE,
        }
    slowest, fastest = min(others), max(others)
    low = high = 0.0
    for steps, speed in zip(lane_steps, measured, strict=True):
        low += steps / (speed or fastest)
        high += steps / (speed or slowest)
    answer["device_hours"] = [low / 3600, high / 3600]
    if workers:
        answer["seconds"] = [low / workers, high / workers]
    whole = own == len(measured)
    says = (
        "at the speed measured here of these very structures"
        if whole
        else f"estimated: {len(measured) - own} of {len(measured)} structures have not trained "
        f"here and are taken to be as fast as others of the experiment, {slowest:,.0f} to "
        f"{fastest:,.0f} lane-steps/s a worker"
    )
    if may_leave:
        says += "; at most, since trials leave at success"
    if not workers:
        says += "; how long it lasts is not known while no worker is ready"
    return {
        "basis": "measured" if whole else "similar",
        **answer,
        "says": says,
        "cure": None if whole else MEASURE,
    }
