"""What clients saw: answers by route and status, seconds, and everything that must not be."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import quantiles

#: an answer of 429 says when to come back
RETRY_AFTER = "retry-after"
LIMITED, FAULT = 429, 500


@dataclass
class Seen:
    """What all clients saw.

    Attributes:
        answers: (route, status) -> answers.
        seconds: route -> seconds of each answer but 429, to its last byte; of streams to the first
            event.
        dropped: connections that broke, by what broke them.
        unexpected: answers that no client of this mix should get.
        limited_without_retry: answers of 429 that do not say when to come back.
        limited_greedy: answers of 429 to clients that ask more than they may.
        granted_greedy: what those were answered all the same.
        events: server-sent events that were read.
        made: sweeps that were submitted.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    dropped: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    limited_without_retry: int = 0
    limited_greedy: int = 0
    granted_greedy: int = 0
    events: int = 0
    made: int = 0

    def answered(
        self, route: str, status: int, seconds: float, expected: frozenset[int], text: str
    ) -> None:
        """One answer."""
        self.answers[route, status] += 1
        if status != LIMITED:
            self.seconds[route].append(seconds)
        if status not in expected and status != LIMITED:
            self.unexpected[f"{route}: {status} {text[:200]}"] += 1

    @property
    def requests(self) -> int:
        """Answers in all."""
        return self.answers.total()

    @property
    def faults(self) -> int:
        """Answers of 5xx."""
        return sum(n for (_, status), n in self.answers.items() if status >= FAULT)

    @property
    def limited(self) -> int:
        """Answers of 429 to clients that ask no more than they may."""
        every = sum(n for (_, status), n in self.answers.items() if status == LIMITED)
        return every - self.limited_greedy

    def wrong(self) -> list[str]:
        """Everything that must not be, in words."""
        found = [f"{n} x connection broke: {what}" for what, n in self.dropped.most_common()]
        found += [f"{n} x {what}" for what, n in self.unexpected.most_common()]
        if self.limited_without_retry:
            found.append(f"{self.limited_without_retry} x 429 without Retry-After")
        if self.limited:
            found.append(f"{self.limited} x 429 below the limit")
        return found


def percentile(seconds: list[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    if len(seconds) == 1:
        return 1000 * seconds[0]
    return 1000 * quantiles(seconds, n=100, method="inclusive")[percent - 1]
