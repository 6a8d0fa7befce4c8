"""The law of resumption, as a check that can be run on sound and on faulty engines alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.company import Ride
from tests.laws import DEVICE, Case, Difference, crowd, different, size
from workers import numerics
from workers.lane import Lane
from workers.lane_file import copied, most_bytes, origin, restored, written
from workers.messages import Assignment, Outcome, PackSpec
from workers.pack import Pack

CLASS = "0123456789abcdef"


@dataclass(frozen=True)
class Cut:
    """A lane's file at a boundary.

    Attributes:
        evaluated: whether the boundary evaluated.
        level: of the lane at the boundary; `before` at the one before, None at its first.
    """

    assignment: Assignment
    step: int
    data: bytes
    evaluated: bool
    level: int
    before: int | None


def cut_everywhere(spec: PackSpec, trials: Sequence[Assignment]) -> tuple[Ride, list[Cut]]:
    """Trains trials together, and writes every lane's file at every boundary of its way."""
    numerics.settle()
    pack = Pack(spec, DEVICE)
    assert not pack.admit(trials)
    found, cuts = Ride({}, []), list[Cut]()
    levels: dict[int, int] = {}
    while pack.lanes:
        ended = pack.advance()
        assert not ended.failures, ended.failures[0].traceback
        found.outcomes.update({o.trial: o for o in ended.outcomes})
        for lane in pack.lanes:
            trial = lane.assignment.trial
            level = (
                int(pack.program.level({k: v[None] for k, v in lane.state.items()}).item())
                if lane.state
                else 0
            )
            evaluated = bool(lane.record.steps) and lane.record.steps[-1] == lane.step
            data = written(copied(lane), origin(lane.assignment, spec, CLASS), ("here",))
            cuts.append(Cut(lane.assignment, lane.step, data, evaluated, level, levels.get(trial)))
            levels[trial] = level
    return found, cuts


def go_on(spec: PackSpec, cuts: Sequence[Cut]) -> dict[int, Outcome]:
    """What lanes come to that go on from their files, all in one pack; by place in `cuts`."""
    numerics.settle()
    pack = Pack(spec, DEVICE)
    lanes: list[Lane] = []
    for number, cut in enumerate(cuts):
        task = replace(cut.assignment, trial=number, attempt=2)
        template = pack.fresh(task)
        assert len(cut.data) <= most_bytes(template, spec, len(pack.metrics))
        lanes.append(
            restored(cut.data, origin(template.assignment, spec, CLASS), template, spec).lane
        )
    pack.resume(lanes)
    outcomes: dict[int, Outcome] = {}
    while pack.lanes:
        ended = pack.advance()
        assert not ended.failures, ended.failures[0].traceback
        outcomes.update({o.trial: o for o in ended.outcomes})
    return outcomes


def breaches(
    cuts: Sequence[Cut], undisturbed: Mapping[int, Outcome], spec: PackSpec
) -> list[Difference]:
    """Every cut whose trial ended otherwise than undisturbed; named by its place in `cuts`."""
    expected = {i: undisturbed[cut.assignment.trial] for i, cut in enumerate(cuts)}
    return list(different(expected, Ride(go_on(spec, cuts), []), len(cuts)))


def check_resumption(case: Case) -> list[Cut]:
    """A trial that goes on from any boundary's file ends in the same bits, curve and record too.

    Raises:
        AssertionError: it does not.
    """
    ride, cuts = cut_everywhere(case.spec, crowd(case, size(1)))
    assert cuts, "no trial stood at a boundary"
    found = breaches(cuts, ride.outcomes, case.spec)
    assert not found, f"{case.name} differs undisturbed and cut: {found}"
    return cuts
