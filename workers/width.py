"""How many lanes one tensor program trains at once: measured on the segments that train anyway.

A lane's result does not depend on it, so nothing is spent on trying: the lanes of a segment are cut
into groups of the widths in question, each group is timed, and the widest that still gained is
kept. On a CPU that is where a step's tensors still fit its caches, on a GPU where it is full.
"""

from dataclasses import dataclass, field

#: a width that gains less than this over the one before ends the search
GAIN = 1.05
#: groups that are timed at each width; the best counts, since a busy machine only slows
LOOKS = 3
FIRST = 4


@dataclass
class Width:
    """The search for one level of one structure.

    Attributes:
        tile: lanes a tile, where the program runs in tiles; widths are then always a tile.
        most: no wider than this: memory is, or was, short beyond.
        lanes: no wider than this: so many lanes there are at most.
        known: what an earlier search for this structure on such a device ended at.
        rates: width -> lane-steps a second, the best seen.
    """

    tile: int | None = None
    most: int | None = None
    lanes: int | None = None
    known: int | None = None
    rates: dict[int, float] = field(default_factory=dict)
    _looks: dict[int, int] = field(default_factory=dict)
    _warm: bool = False

    @property
    def chosen(self) -> int | None:
        """The width that the search has ended at, or None while it goes on."""
        if self.tile is not None:
            return self.tile
        bounds = [bound for bound in (self.most, self.lanes) if bound is not None]
        if self.known is None:
            self.known = self._ended(min(bounds, default=None))
        if self.known is not None:
            return max(1, min(self.known, *bounds)) if bounds else self.known
        beyond = bounds and self._next() > min(bounds)
        return max(1, min(bounds)) if beyond else None

    @property
    def found(self) -> int | None:
        """What measurement ended at; not what memory or too few lanes ended at elsewhere."""
        return self.known if self.tile is None and self.chosen == self.known else None

    def _next(self) -> int:
        """The narrowest width that was not yet looked at often enough."""
        width = FIRST
        while self._looks.get(width, 0) >= LOOKS:
            width *= 2
        return width

    def _ended(self, bound: int | None) -> int | None:
        """The width at which gains ended, once they have; it is then kept whatever comes."""
        width = FIRST
        while self._looks.get(width, 0) >= LOOKS and (bound is None or width <= bound):
            before = self.rates.get(width // 2)
            if before is not None and self.rates[width] < GAIN * before:
                return width // 2 if self.rates[width] < before else width
            width *= 2
        return None

    def groups(self, lanes: int) -> list[int]:
        """Sizes of the groups to cut so many lanes into, in order; they sum to `lanes`."""
        found: list[int] = []
        left = lanes
        if self.chosen is None:
            if not self._warm and left:  # a first step compiles and allocates: not to be timed
                found.append(min(FIRST, left))
                left -= found[-1]
            width = FIRST
            while left >= width and (self.most is None or width <= self.most):
                if self._looks.get(width, 0) < LOOKS:
                    found.append(width)
                    left -= width
                width *= 2
        usual = self.chosen or max(self.rates, key=lambda w: self.rates[w], default=FIRST)
        while left:
            found.append(min(usual, left))
            left -= found[-1]
        return found

    def note(self, lanes: int, steps: int, seconds: float) -> None:
        """A group of so many lanes took so long for so many steps each."""
        if not self._warm:
            self._warm = True
            return
        self.rates[lanes] = max(self.rates.get(lanes, 0.0), lanes * steps / max(seconds, 1e-9))
        self._looks[lanes] = self._looks.get(lanes, 0) + 1

    def short(self, lanes: int) -> None:
        """Memory ran out at so many lanes: from now on at most half."""
        self.most = max(1, lanes // 2)
