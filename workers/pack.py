"""The pack engine: trains many lanes in one tensor program, and no lane ever sees another.

Between segments a lane is a plain value (`workers.lane.Lane`). A segment stacks the lanes of one
level, trains them, and takes them apart again; so lanes enter, leave, change level and are
evaluated only at boundaries, and a trial's numbers do not depend on where or beside whom it ran.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import catalog
from models.experiment import Experiment, Metric, Tier
from models.kernels.leaves import LeafList, add_scaled
from models.program import Differentiated, Lanes, Leaves, Program
from models.updates.chain import Step, Updates, wide
from models.updates.norm import global_norm
from workers import memory as memory_of
from workers.isolation import isolated
from workers.lane import Lane, stack, unstack
from workers.messages import Assignment, EndState, Failure, Leave, Outcome, PackSpec
from workers.width import Width


@dataclass
class Ended:
    """What one boundary brought.

    Attributes:
        outcomes: of lanes that ended.
        failures: attempts that raised.
        lane_steps: that were trained.
        lanes: those that ended, as they stood, in the order of the outcomes.
    """

    outcomes: list[Outcome]
    failures: list[Failure]
    lane_steps: int = 0
    lanes: list[Lane] = field(default_factory=list)

    def end(self, lane: Lane, state: EndState, metrics: Sequence[Metric]) -> None:
        """Adds a lane that ended."""
        self.outcomes.append(lane.outcome(state, metrics))
        self.lanes.append(lane)


@dataclass(frozen=True)
class Trained:
    """A group of lanes after one segment.

    Attributes:
        lanes: the lanes at the boundary.
        finite: per lane, whether every loss, gradient norm and parameter was finite.
    """

    lanes: list[Lane]
    finite: list[bool]


class Pack:
    """Lanes of one structure on one device.

    Args:
        spec: what the lanes agree in.
        device: where they train.
        experiment: the description; the catalogue's unless given.
        measured: whether lanes are cut into groups of the width that measures best; all of a level
            train together otherwise.
        lanes: the most that it will be given.
        widths: level -> width that measured best before.
        free: bytes that it may use; what the device has free unless given.

    Raises:
        ValueError: torch may use several threads on the CPU, which is another numerics class.
    """

    def __init__(
        self,
        spec: PackSpec,
        device: torch.device,
        experiment: Experiment | None = None,
        *,
        measured: bool = False,
        lanes: int | None = None,
        widths: Mapping[int, int] | None = None,
        free: int | None = None,
    ) -> None:
        if device.type == "cpu" and torch.get_num_threads() != 1:
            raise ValueError(
                f"torch uses {torch.get_num_threads()} threads; a pack's results are "
                "reproducible only with one; call workers.numerics.settle() first"
            )
        self.spec = spec
        self.device = device
        self.experiment = experiment or catalog.experiment(spec.experiment)
        settings = self.experiment.resolve(spec.shared)
        self.metrics = self.experiment.metrics(settings)
        self._defaults = self.experiment.lane_values(settings)
        program = catalog.program(self.experiment)
        self.program: Program[Any] = program(settings, spec.segment, device)
        self._compiled: Differentiated | None = None
        if isinstance(self.program, Differentiated) and self.program.compiled:
            self._compiled = self.program
        self.lanes: list[Lane] = []
        self._measured = measured
        self._most = lanes
        self._known = dict(widths or {})
        self._widths: dict[int, Width] = {}
        self._told: dict[int, int] = dict(self._known)
        memory = self.experiment.memory
        self._lane = None if memory is None else memory(settings, spec.segment)
        self._free = memory_of.budget(device) if free is None else free

    @property
    def capacity(self) -> int | None:
        """The most lanes that memory holds, or None where it is not known."""
        return None if self._lane is None else memory_of.capacity(self._lane, self._free)

    def news(self) -> dict[int, int]:
        """Level -> width, of the levels whose search ended otherwise than was last said."""
        ended = {level: width.found for level, width in self._widths.items()}
        found = {k: v for k, v in ended.items() if v is not None and self._told.get(k) != v}
        self._told |= found
        return found

    def admit(self, assignments: Sequence[Assignment]) -> list[Failure]:
        """Gives trials lanes at step 0; those whose initialisation raises are returned.

        A value that an assignment lacks, since its sweep is older than the hyper-parameter, is the
        default's.
        """
        whole = [self.whole(a) for a in assignments]
        done, failures = isolated(whole, self._tiles(whole), self._init, lambda a: a)
        self.lanes += [lane for lanes in done for lane in lanes]
        return failures

    def whole(self, assignment: Assignment) -> Assignment:
        """The same with a value for each per-lane hyper-parameter."""
        return replace(assignment, values={**self._defaults, **assignment.values})

    def fresh(self, assignment: Assignment) -> Lane:
        """What the trial's lane is at step 0; the pack does not take it."""
        return self._init([self.whole(assignment)])[0]

    def resume(self, lanes: Sequence[Lane]) -> None:
        """Takes lanes that stood at a boundary before, here or elsewhere."""
        self.lanes += lanes

    def drop(self, unwanted: set[tuple[int, int]]) -> list[tuple[int, int]]:
        """Ends (trial, attempt) without an outcome; returns those that were here."""
        held = [(lane.assignment.trial, lane.assignment.attempt) for lane in self.lanes]
        self.lanes = [
            lane for lane, name in zip(self.lanes, held, strict=True) if name not in unwanted
        ]
        return [name for name in held if name in unwanted]

    def advance(self) -> Ended:
        """Trains every lane for one segment and returns what ended at its boundary.

        A group that raises is split in halves until the lane at fault is alone: it fails, the
        others go on from the boundary before, to the same bits.
        """
        ended = Ended([], [], self.spec.segment * len(self.lanes))
        staying: list[Lane] = []
        for level, lanes in self._levels():
            width = self._width(level)
            sizes = width.groups(len(lanes)) if self._measured else self._tiles(lanes)
            work = partial(self._timed, level=level, width=width)
            done, failures = isolated(lanes, sizes, work, _assignment, width.short)
            ended.failures += failures
            for trained in done:
                self._boundary(trained, staying, ended)
        self.lanes = staying
        return ended

    def _width(self, level: int) -> Width:
        """The search for a level's width, which memory bounds."""
        if level not in self._widths:
            most = None
            if self._lane is not None:
                most = memory_of.widest(self._lane, self._free, len(self.lanes))
            known = self._known.get(level)
            self._widths[level] = Width(self.experiment.tile, most, self._most, known)
        return self._widths[level]

    def _levels(self) -> Iterator[tuple[int, list[Lane]]]:
        """Lanes grouped by level, levels ascending, lanes in order of trial."""
        if not self.lanes:
            return
        levels = self.program.level(stack([lane.state for lane in self.lanes])).tolist()
        groups: dict[int, list[Lane]] = {}
        for lane, level in zip(self.lanes, levels, strict=True):
            groups.setdefault(level, []).append(lane)
        yield from sorted(groups.items())

    def _tiles(self, items: Sequence[Any]) -> list[int]:
        """Sizes of the groups that run together where no width is asked for."""
        size = self.experiment.tile or max(1, len(items))
        return [min(size, len(items) - i) for i in range(0, len(items), size)]

    def _timed(self, lanes: list[Lane], level: int, width: Width) -> Trained:
        """One group's segment, noted for the search for the best width."""
        began = time.perf_counter()
        trained = self._segment(lanes, level)
        width.note(len(lanes), self.spec.segment, time.perf_counter() - began)
        return trained

    def _filled(self, items: list[Any]) -> list[Any]:
        """The items, with the last repeated as dummies where a tile is short."""
        tile = self.experiment.tile
        return items if tile is None else items + [items[-1]] * (tile - len(items))

    def _view(self, assignments: Sequence[Assignment], starts: Sequence[int]) -> Lanes:
        names = assignments[0].values
        return Lanes(
            keys=tuple(key(a) for a in assignments),
            values={n: np.array([a.values[n] for a in assignments], np.float64) for n in names},
            starts=tuple(starts),
            segment=self.spec.segment,
            device=self.device,
        )

    def _init(self, assignments: list[Assignment]) -> list[Lane]:
        full = self._filled(assignments)
        params, state = self.program.init(self._view(full, [0] * len(full)))
        optimiser = self.program.update.init(params)
        parts = (unstack(leaves, len(assignments)) for leaves in (params, optimiser, state))
        return [
            Lane(a, 0, p, o, s)
            for a, p, o, s in zip(
                assignments, *(rows or [{} for _ in assignments] for rows in parts), strict=True
            )
        ]

    def _segment(self, lanes: list[Lane], level: int) -> Trained:
        """Trains a group for one segment; changes nothing of the lanes that it was given."""
        full = self._filled(lanes)
        view = self._view([lane.assignment for lane in full], [lane.step for lane in full])
        params = stack([lane.params for lane in full])
        optimiser = stack([lane.optimiser for lane in full])
        before = stack([lane.state for lane in full])
        finite, stats = self._steps(replace(view, state=before), level, params, optimiser)
        with torch.no_grad():
            state = self.program.boundary(params, before, stats)
        kept = len(lanes)
        detached = {name: leaf.detach() for name, leaf in params.items()}
        rows = zip(
            lanes,
            unstack(detached, kept),
            unstack(optimiser, kept),
            unstack(state, kept),
            strict=True,
        )
        after = [
            replace(ln, step=ln.step + self.spec.segment, params=p, optimiser=o, state=s)
            for ln, p, o, s in rows
        ]
        return Trained(after, finite.tolist()[:kept])

    def _steps(
        self, view: Lanes, level: int, params: Leaves, optimiser: Leaves
    ) -> tuple[Tensor, Tensor]:
        """The steps of one segment, in place; (finite (R,), mean statistics (R, K))."""
        batches = self.program.batches(view, level)
        rule = self.program.update.begin(view, optimiser)
        listed = LeafList(params)
        ones = torch.ones(len(view), device=self.device)
        finite = torch.ones(len(view), dtype=torch.bool, device=self.device)
        total: Tensor | float = 0.0
        for index in range(self.spec.segment):
            loss, stats, gradients = self._gradients(params, listed, batches, index)
            with torch.no_grad():
                norm = global_norm(gradients)
                finite &= torch.isfinite(loss) & torch.isfinite(norm)
                error = stats[:, -1] if stats.shape[1] else None
                updates = rule(Updates(gradients, ones), Step(index, norm, error))
                if updates.keep is not None:
                    for leaf in listed.tensors:
                        leaf.mul_(wide(updates.keep, leaf))
                add_scaled(listed, updates.leaves, updates.gain)
                total = total + stats
            del gradients, updates  # they make room before the next
        for leaf in listed.tensors:  # a parameter once non-finite is so still: updates only add
            finite &= torch.isfinite(leaf.detach()).flatten(1).all(1)
        return finite, torch.as_tensor(total) / self.spec.segment

    def _gradients(
        self, params: Leaves, listed: LeafList, batches: Any, index: int
    ) -> tuple[Tensor, Tensor, LeafList]:
        """Loss (R,), statistics (R, K) and gradients of one step."""
        if self._compiled is not None:
            with torch.no_grad():
                return self._compiled.gradients(listed, batches, index)
        leaves = {name: leaf.requires_grad_() for name, leaf in params.items()}
        loss, stats = self.program.loss(leaves, batches, index)
        # the sum only joins the graphs: each lane's loss has derivative 1 in its own lane
        raw = torch.autograd.grad(loss.sum(), list(leaves.values()))
        found = {n: g.contiguous() for n, g in zip(leaves, raw, strict=True)}
        taken: set[int] = set()
        for name, gradient in found.items():  # autograd may hand out one tensor twice
            if gradient.data_ptr() in taken:
                found[name] = gradient.clone()
            taken.add(gradient.data_ptr())
        return loss.detach(), stats.detach(), LeafList(found)

    def _boundary(self, trained: Trained, staying: list[Lane], ended: Ended) -> None:
        """Evaluates what is due and parts those that end from those that stay."""
        alive: list[Lane] = []
        for lane, finite in zip(trained.lanes, trained.finite, strict=True):
            if finite:
                alive.append(lane)
            else:
                ended.end(lane, "diverged", self.metrics)
        done, failures = isolated(alive, self._tiles(alive), self._evaluate, _assignment)
        ended.failures += failures
        for lane in (lane for lanes in done for lane in lanes):
            end = self._end(lane)
            if end is None:
                staying.append(lane)
            else:
                ended.end(lane, end, self.metrics)

    def _evaluate(self, lanes: list[Lane]) -> list[Lane]:
        """Adds an evaluation to the record of each lane for which one is due."""
        spec = self.spec
        period = spec.evaluate_every * spec.segment
        due = [ln for ln in lanes if ln.step % period == 0 or ln.step >= spec.steps]
        if not due:
            return lanes
        metrics = self.measure(due, "cheap")
        if spec.expensive == "every":
            dear = due
        else:
            ends = [
                self._leaves(m) or ln.step >= spec.steps for ln, m in zip(due, metrics, strict=True)
            ]
            dear = [ln for ln, end in zip(due, ends, strict=True) if end]
        if dear and any(m.tier == "expensive" for m in self.metrics):
            found = dict(zip(map(id, dear), self.measure(dear, "expensive"), strict=True))
            metrics = [m | found.get(id(ln), {}) for ln, m in zip(due, metrics, strict=True)]
        for lane, values in zip(due, metrics, strict=True):
            lane.record.add(lane.step, values)
        return lanes

    def measure(self, lanes: list[Lane], tier: Tier) -> list[dict[str, float]]:
        """Each lane's metrics of one tier, as it stands."""
        full = self._filled(lanes)
        view = self._view([lane.assignment for lane in full], [lane.step for lane in full])
        with torch.inference_mode():
            values = self.program.evaluate(stack([lane.params for lane in full]), view, tier)
        columns = {name: column.tolist() for name, column in values.items()}
        return [{name: columns[name][i] for name in columns} for i in range(len(lanes))]

    def _leaves(self, metrics: dict[str, float]) -> bool:
        rule = self.spec.leave
        return rule is not None and meets(rule, metrics.get(rule.metric))

    def _end(self, lane: Lane) -> EndState | None:
        if lane.step >= self.spec.steps:
            return "finished"
        rule, record = self.spec.leave, lane.record
        if rule is None or not record.steps or record.steps[-1] != lane.step:
            return None
        column = record.values.get(rule.metric)
        return "left" if column and meets(rule, column[-1]) else None


def key(assignment: Assignment) -> Any:
    """What names the streams of an assigned trial."""
    return Lane(assignment, 0, {}, {}, {}).key


def meets(rule: Leave, value: float | None) -> bool:
    """Whether a value meets the leave rule; NaN and None never do."""
    if value is None:
        return False
    return value <= rule.threshold if rule.comparison == "at_most" else value >= rule.threshold


def _assignment(lane: Lane) -> Assignment:
    return lane.assignment
