"""Patience: how long a worker may say nothing before it is taken for hung.

A worker that hangs, in a driver or in a program's endless loop, dies no death that Ray would tell.
Taking a slow one for hung is safe, its late write is refused by its attempt, but loses its work:
so the bound is generous.
"""

#: a first call may compile, load data or import a tensor library
FIRST = 3.0
#: calls grow as lanes are added and levels rise
TIMES = 10.0


def patience_s(least_s: float, slice_s: float, longest_s: float | None) -> float:
    """Seconds without an answer after which a worker is taken for lost.

    Args:
        least_s: never fewer than these (`SEEDBED_PATIENCE_S`), and `FIRST` times as many for a
            first call to a pack or to describe itself.
        slice_s: a call ends at the first boundary after so long.
        longest_s: the longest call to this pack so far, a segment's time included; None before.
    """
    if longest_s is None:
        return max(FIRST * least_s, TIMES * slice_s)
    return max(least_s, TIMES * (slice_s + longest_s))
