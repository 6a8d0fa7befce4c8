"""The rate of one arm: k of n, with Wilson's interval."""

from dataclasses import dataclass

from scipy.stats import binomtest

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """k successes of n trials; without trials there is nothing to estimate, and it says so."""

    k: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.n:
            raise ValueError(f"{self.k} successes of {self.n} trials; successes are 0 to n")

    @property
    def value(self) -> float | None:
        """K / n, or None without trials."""
        return self.k / self.n if self.n else None

    def wilson(self) -> tuple[float, float] | None:
        """Wilson's score interval at 95 %, or None without trials. Wilson 1927, JASA 22:209."""
        if not self.n:
            return None
        found = binomtest(self.k, self.n).proportion_ci(CONFIDENCE, method="wilson")
        # the ends are exact where the formula leaves a rounding error
        return (
            0.0 if self.k == 0 else float(found.low),
            1.0 if self.k == self.n else float(found.high),
        )
