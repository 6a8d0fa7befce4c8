"""What a method says: a number with its interval, or a test's p; or that it cannot, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: the estimate; None where it cannot be said.
        low, high: the interval's ends. Beside a reason, None is "without bound" or "not estimable".
        reason: why something is None; empty where nothing is.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None where one is missing."""
        if self.low is None or self.high is None:
            return None
        return self.low, self.high


@dataclass(frozen=True)
class Test:
    """A p-value with the name of the method that gave it.

    Attributes:
        p: the p-value; None where there is nothing to test.
        method: the method, and where n or sparseness chose it, what would have been used otherwise.
        reason: why p is None, or why it is to be read with care; else empty.
        statistic: the test's statistic, where it has one.
    """

    __test__ = False  # not a test of pytest's

    p: float | None
    method: str
    reason: str = ""
    statistic: float | None = None


def unknown(reason: str) -> Estimate:
    """Nothing can be estimated, for this reason."""
    return Estimate(None, None, None, reason)
