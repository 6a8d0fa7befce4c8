"""Handling: how a sweep is to be treated, which changes no trial and no finding."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Handling:
    """What may be said at submission and changed at any time.

    Attributes:
        priority: -100 to 100; a sweep 10 higher has twice the weight in the share of the workers.
        labels: words to find it by.
        note: what people say about it.
    """

    priority: int = 0
    labels: tuple[str, ...] = ()
    note: str = ""


ORDINARY = Handling()
