"""Two arms on different seeds: difference, ratio and odds ratio with score intervals, two tests.

What is independent is a matter of the seeds, not of these formulas: arms that share (setting, seed)
are pairs (service/evidence/pairs.py), and treating them so costs power but not validity where the
correlation within pairs is not negative.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtr

from service.evidence import boschloo, independent_score
from service.evidence.estimate import Estimate, Test, unknown
from service.evidence.pairs import Sided
from service.evidence.rates import Rate

#: above so many trials in an arm Fisher's test takes the place of Boschloo's, whose cost explodes
MOST_FOR_BOSCHLOO = 500


@dataclass(frozen=True)
class Independent:
    """Arm a against arm b."""

    a: Rate
    b: Rate

    def empty(self) -> str:
        """Which arm has no trials, as a reason; empty where both have some."""
        names = [name for name, rate in (("a", self.a), ("b", self.b)) if rate.n == 0]
        return f"arm {' and arm '.join(names)} without trials" if names else ""

    def difference(self) -> Estimate:
        """Rate a - rate b with Newcombe's hybrid score interval.

        Newcombe 1998, Statistics in Medicine 17:873, method 10: the Wilson intervals of the two
        rates, squared and added.
        """
        wilson_a, wilson_b = self.a.wilson(), self.b.wilson()
        rate_a, rate_b = self.a.value, self.b.value
        if wilson_a is None or wilson_b is None or rate_a is None or rate_b is None:
            return unknown(self.empty())
        value = rate_a - rate_b
        low = value - math.hypot(rate_a - wilson_a[0], wilson_b[1] - rate_b)
        high = value + math.hypot(wilson_a[1] - rate_a, rate_b - wilson_b[0])
        return Estimate(value, max(-1.0, low), min(1.0, high))

    def ratio(self) -> Estimate:
        """Rate a / rate b with the score interval.

        Koopman 1984, Biometrics 40:513, with the factor N / (N - 1) of Miettinen & Nurminen 1985,
        Statistics in Medicine 4:213.
        """
        if self.empty():
            return unknown(self.empty())
        low, high = independent_score.ratio(self.a.k, self.a.n, self.b.k, self.b.n)
        if self.b.k == 0:
            neither = "neither arm has a success" if self.a.k == 0 else "arm b has no success"
            return Estimate(None, low, high, f"{neither}; the ratio has no upper bound")
        return Estimate(self.a.k * self.b.n / (self.a.n * self.b.k), low, high)

    def odds_ratio(self) -> Estimate:
        """Odds of a / odds of b with the score interval of Miettinen & Nurminen 1985."""
        if self.empty():
            return unknown(self.empty())
        a, b, c, d = self.a.k, self.a.n - self.a.k, self.b.k, self.b.n - self.b.k
        low, high = independent_score.odds_ratio(a, a + b, c, c + d)
        if b * c == 0:
            why = "arm b has no success" if c == 0 else "arm a has no failure"
            return Estimate(None, low, high, f"{why}; the odds ratio has no upper bound")
        return Estimate(a * d / (b * c), low, high)

    def score_test(self, sided: Sided = "two") -> Test:
        """Pearson's chi-squared test with the factor (N - 1) / N, as a z test.

        Miettinen & Nurminen 1985 at ratio 1 (K. Pearson's test as E. Pearson 1947, Biometrika
        34:139, has it): it rejects at 5 % exactly where the ratio's interval leaves out 1.
        """
        method = "score test, factor (N - 1) / N"
        if self.empty():
            return Test(None, method, self.empty())
        n1, n2, won = self.a.n, self.b.n, self.a.k + self.b.k
        total = n1 + n2
        spread = won * (total - won) * n1 * n2
        if spread == 0:
            return Test(
                1.0, method, "every trial came out alike; nothing speaks against equal arms"
            )
        z = (self.a.k * n2 - self.b.k * n1) * math.sqrt((total - 1) / spread)
        if sided == "two":
            p = 2 * float(ndtr(-abs(z)))
        else:
            p = float(ndtr(-z if sided == "greater" else z))
        return Test(p, method, statistic=z)

    def exact_test(self, sided: Sided = "two") -> Test:
        """Boschloo's test where both arms have at most 500 trials, Fisher's otherwise.

        Boschloo 1970, Statistica Neerlandica 24:1, is never less powerful than Fisher 1935, and its
        cost grows with the square of n, where Fisher's hardly grows. The numbers of trials alone
        choose, never the outcomes.
        """
        if max(self.a.n, self.b.n) <= MOST_FOR_BOSCHLOO:
            method = f"Boschloo's exact test (arms of at most {MOST_FOR_BOSCHLOO} trials)"
            find = boschloo.p_value
        else:
            method = f"Fisher's exact test (an arm of more than {MOST_FOR_BOSCHLOO} trials)"
            find = boschloo.fisher
        if self.empty():
            return Test(None, method, self.empty())
        return Test(find(self.a.k, self.a.n, self.b.k, self.b.n, sided), method)
