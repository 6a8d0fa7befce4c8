"""What a plan would run, take and be able to show: the answer to a dry run."""

from collections.abc import Mapping
from typing import Any

from models.catalog import experiments
from service.api.disk import disk_bytes, kept_bytes
from service.api.state import State
from service.plan import Plan
from service.planning.hours import time_json
from service.planning.power import power_json
from service.store.speeds import known
from service.structures import resolved


def plan_json(plan: Plan, state: State, speeds: Mapping[str, float]) -> dict[str, Any]:
    """What a plan would run; packs are those of the first, widest claims.

    Args:
        speeds: structure hash -> lane-steps a second of a worker that trained it before.
    """
    lanes = state.configuration.pack_lanes
    by_structure = [0] * len(plan.structures)
    for cell in plan.cells:
        by_structure[cell.structure] += plan.seeds
    lane_steps = [n * s.pack.steps for n, s in zip(by_structure, plan.structures, strict=True)]
    return {
        "name": plan.name,
        "trials": plan.trials,
        "cells": len(plan.cells),
        "arms": [arm.name for arm in plan.arms],
        "settings": len(plan.settings),
        "structures": len(plan.structures),
        "seeds": plan.seeds,
        "cohorts": plan.cohorts,
        "segments": sum(
            n * s.pack.steps // s.pack.segment
            for n, s in zip(by_structure, plan.structures, strict=True)
        ),
        "lanes": lanes,
        "packs": sum(-(-n // lanes) for n in by_structure),
        "memory": memory_json(plan, lanes),
        "disk_bytes": disk_bytes(plan),
        "kept_bytes": kept_bytes(plan),
        "time": time_json(
            lane_steps,
            known(speeds, [s.pack for s in plan.structures]),
            list(speeds.values()),
            workers=state.health().workers,
            may_leave=plan.spec["leave"] != "never",
        ),
        "power": power_json(plan),
        "spec": plan.spec,
    }


def memory_json(plan: Plan, lanes: int) -> dict[str, int] | None:
    """Bytes that the largest structure takes at most; None where only training tells.

    A pack's are of all its lanes in one group. A worker with less holds fewer lanes, or trains
    fewer of them at once.
    """
    found = experiments()[plan.experiment]
    if found.memory is None:
        return None
    each = [
        found.memory(settings, structure.pack.segment)
        for structure, settings in zip(plan.structures, resolved(plan, found), strict=True)
    ]
    held, training = max(m.held for m in each), max(m.training for m in each)
    whole = max(lanes * (m.held + m.training) for m in each)
    return {"lane_held_bytes": held, "lane_training_bytes": training, "pack_bytes": whole}
