"""How trials rode together in a pack, and what a ride must hold for the pack law to mean much."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from workers.messages import Outcome


@dataclass(frozen=True)
class Ride:
    """Trials trained in one pack.

    Attributes:
        outcomes: by trial.
        segments: for each segment the (trial, step) of every lane, in order of lane.
    """

    outcomes: dict[int, Outcome]
    segments: list[list[tuple[int, int]]]

    def lanes(self, trial: int) -> set[int]:
        """The lanes in which a trial was, segment by segment."""
        return {i for s in self.segments for i, (t, _) in enumerate(s) if t == trial}

    def ends(self, trial: int, segment: int) -> bool:
        """Whether this was the trial's last segment."""
        later = self.segments[segment + 1] if segment + 1 < len(self.segments) else []
        return all(t != trial for t, _ in later)

    def beside(self, end_state: str) -> set[int]:
        """Trials that went on to another end beside one that ended so, in its last segment."""
        found: set[int] = set()
        for i, segment in enumerate(self.segments):
            riders = {t for t, _ in segment}
            gone = {
                t for t in riders if self.outcomes[t].end_state == end_state and self.ends(t, i)
            }
            if gone:
                found |= {t for t in riders if self.outcomes[t].end_state != end_state}
        return found

    def overtaken(self) -> set[int]:
        """Trials that rode with a younger one: what goes by the youngest's step goes wrong."""
        return {t for s in self.segments for t, step in s if step > min(other for _, other in s)}

    def staggered(self) -> set[int]:
        """Trials that rode with one of another step."""
        return {t for s in self.segments if len({step for _, step in s}) > 1 for t, _ in s}


def foreseen(alone: Mapping[int, Outcome], order: Sequence[int], width: int, segment: int) -> Ride:
    """How trials will ride together if the pack law holds, from what they are alone."""
    waiting, lanes, segments = list(order), list[tuple[int, int]](), []
    while waiting or lanes:
        free = width - len(lanes)
        lanes += [(t, 0) for t in waiting[:free]]
        del waiting[:free]
        segments.append(lanes)
        lanes = [(t, step + segment) for t, step in lanes if step + segment < alone[t].steps]
    return Ride({t: alone[t] for t in order}, segments)


def check_company(name: str, width: int, rides: Sequence[Ride], compared: Collection[int]) -> None:
    """The compared trials rode beside lanes that diverged, left, and were of another step.

    Raises:
        AssertionError: at this width they did not, so that the law says less than it should.
    """
    about = f"{name} at {width} lanes"
    outcomes = rides[0].outcomes
    for end in ("diverged", "left", "finished"):
        assert any(outcomes[t].end_state == end for t in compared), f"{about}: none {end}"
    calm = {t for t in compared if outcomes[t].end_state != "diverged"}
    for end in ("diverged", "left"):
        beside = set().union(*(ride.beside(end) for ride in rides))
        assert calm & beside, f"{about}: no calm trial rode beside one that {end}"
    staggered = set().union(*(ride.staggered() for ride in rides))
    assert calm & staggered, f"{about}: lanes did not differ in step"
    moved = [t for t in calm if len(set().union(*(ride.lanes(t) for ride in rides))) > 1]
    assert len(moved) > 1, f"{about}: calm trials kept to one lane"
