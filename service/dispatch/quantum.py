"""The quantum: how long a worker keeps to a pack before it may be left to drain for another.

A worker trains lanes of one structure. To give it to another its lanes are not refilled, and the
last of them holds it while the others stand empty: that costs about half a pack of a trial's
length. So a worker that has changed over keeps to its new pack until that is little.
"""

#: never less than so long: a pack takes time to build and to measure
LEAST_S = 20.0
#: nor before each lane has ended so many trials
ROUNDS = 2


def over(held_s: float, ended: int, most: int) -> bool:
    """Whether a worker has kept to its pack for long enough.

    Args:
        held_s: since when it has held lanes of the pack.
        ended: trials that have ended there since.
        most: the most that it has held there at once.
    """
    return held_s >= LEAST_S and ended >= ROUNDS * most
