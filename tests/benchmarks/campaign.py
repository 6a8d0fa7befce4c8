"""One run of the bench: laws first, then widths, then every row once a repeat, interleaved."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.benchmarks import launch
from tests.benchmarks.baselines.workload import workloads
from tests.benchmarks.row import Row
from tests.benchmarks.size import Size
from tests.benchmarks.throughput import SYSTEMS

SWEEP, ROOF, PACK = "whole sweep", "roof", "pack"
ENGINE = "Seedbed engine"
SEEDBED, TUNE, REUSED = "Seedbed through REST", "Ray Tune", "Ray Tune, reuse_actors"
SCALING, OCCUPANCY = "two cores against one", "occupancy"

Say = Callable[[str], None]
Probe = Callable[..., dict[str, Any]]


class Campaign:
    """The rows of one run.

    Args:
        size: how much is measured.
        device: "cpu" or "cuda", of the rows that train.
        say: told what is going on.
        probe: runs one measurement; `launch.probe` but in tests.
        known: (group, name) -> what an earlier run's search for the best width found.
    """

    def __init__(
        self,
        size: Size,
        device: str,
        say: Say,
        probe: Probe = launch.probe,
        known: Mapping[tuple[str, str], dict[str, Any]] | None = None,
    ) -> None:
        self.size = size
        self.device = device
        self.say = say
        self.probe = probe
        self.known = dict(known or {})
        self.core = launch.cores()[-1]

    def prepare(self, only: str = "") -> list[Row]:
        """Every row whose group or name holds `only`, allowed by its law and at its best width."""
        rows: list[Row] = []
        for work in workloads().values():
            if self.size.workloads is None or work.name in self.size.workloads:
                rows += [Row(work.name, system, "throughput") for system in SYSTEMS]
        rows += self._others()
        rows = [row for row in rows if only in f"{row.group}: {row.name}"]
        for row in rows:
            if row.measure == "throughput":
                self._guarded(row, lambda row=row: self._choose(row))
        self._follow(rows)
        return rows

    def _others(self) -> list[Row]:
        s = self.size
        steps = {"steps": s.trial_steps}
        mlps = [w for w in workloads().values() if w.experiment == "deep_mlp"]
        return [
            *(
                Row(ROOF, w.name, "roof", {"workload": w.name, "seconds": s.seconds})
                for w in mlps
                if s.workloads is None or w.name in s.workloads
            ),
            Row(PACK, SCALING, "scaling", pinned=False),
            Row(PACK, OCCUPANCY, "occupancy", {"lanes": s.occupancy[0], "trials": s.occupancy[1]}),
            Row(SWEEP, SEEDBED, "seedbed", {"trials": list(s.seedbed), **steps}, pinned=False),
            Row(SWEEP, TUNE, "ray_tune", {"trials": list(s.tune), "reuse": False, **steps}, False),
            Row(
                SWEEP, REUSED, "ray_tune",
                {"trials": list(s.tune_reused), "reuse": True, **steps}, False,
            ),
        ]  # fmt: skip

    def _choose(self, row: Row) -> None:
        """Law or check, then the best width, then steps for a repeat of the wanted length."""
        work = workloads()[row.group]
        if row.name != ENGINE and self.size.checked:
            row.refused = self._ask("alike", system=row.name, workload=row.group)["refused"]
            if row.refused:
                return
        found = self.known.get((row.group, row.name)) or self._ask(
            "search", system=row.name, workload=row.group, widths=list(self.size.widths),
            lane_steps=self.size.search_steps[work.experiment], device=self.device,
        )  # fmt: skip
        row.curve = found["curve"]
        lanes = found["lanes"]
        if row.name == ENGINE:
            self._judge(row, lanes)
        steps = max(2, math.ceil(self.size.seconds * found["rate"] / lanes))
        row.arguments = {
            "system": row.name, "workload": row.group, "lanes": lanes, "steps": steps,
            "device": self.device, "options": found["options"],
        }  # fmt: skip

    def _judge(self, row: Row, lanes: int) -> None:
        widths = sorted({3, min(lanes, 64)})
        row.refused = self._ask("law", workload=row.group, widths=widths)["refused"]

    def _follow(self, rows: Sequence[Row]) -> None:
        """Rows that need another's width take it, and fall with it."""
        engines = {row.group: row for row in rows if row.name == ENGINE}
        for row in rows:
            if row.measure == "roof":
                engine = engines.get(row.name)
                own = [engine.arguments["lanes"]] if engine and engine.arguments else []
                row.arguments |= {"widths": sorted({*own, 4, 16, 64}), "device": self.device}
            if row.measure == "scaling":
                first = next(iter(engines.values()), None)
                if first is None or first.refused or not first.arguments:
                    row.refused = "it needs an engine row of a workload, and there is none"
                    continue
                row.arguments = {k: first.arguments[k] for k in ("workload", "lanes", "steps")}

    def repeat(self, rows: Sequence[Row]) -> None:
        """Measures every row that is not refused, once."""
        for row in rows:
            if row.refused is None:
                self._guarded(row, lambda row=row: row.samples.append(self._sample(row)))

    def _sample(self, row: Row) -> dict[str, Any]:
        self.say(f"{row.group}: {row.name}")
        return self.probe(row.measure, core=self.core if row.pinned else None, **row.arguments)

    def _ask(self, measure: str, **arguments: Any) -> dict[str, Any]:
        about = " ".join(str(arguments[k]) for k in ("workload", "system") if k in arguments)
        self.say(f"{measure}: {about}")
        return self.probe(measure, core=self.core, **arguments)

    def _guarded(self, row: Row, work: Callable[[], object]) -> None:
        """A row whose probe fails is refused with its reason; the others go on."""
        try:
            work()
        except launch.ProbeFailedError as error:
            row.refused = str(error)


def searched(raw: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """(group, name) -> what the searches of an earlier run found, from its raw results."""
    found = {}
    for row in raw["rows"]:
        if row["curve"] and row["arguments"]:
            lanes = row["arguments"]["lanes"]
            found[row["group"], row["name"]] = {
                "lanes": lanes,
                "rate": row["curve"][str(lanes)],
                "curve": row["curve"],
                "options": row["arguments"]["options"],
            }
    return found
