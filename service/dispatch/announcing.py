"""Announcing: what the dispatcher says of its workers, and when it says it again; pure."""

from collections.abc import Iterable
from dataclasses import replace

from service.dispatch.peers import Peer
from service.dispatch.telemetry import telemetry
from service.store.announcements import Announcement

#: how far trials are changes with every answer, and is said this often
TELEMETRY_S = 1.0


def announcement(
    peers: Iterable[Peer], storage: str | None = None, *, on_demand: bool = False
) -> Announcement:
    """What is known of these workers.

    Args:
        storage: what is wrong with storage; None: nothing that they said.
        on_demand: whether more come when there is work for them.
    """
    every = list(peers)
    known = [peer.description for peer in every if peer.description is not None]
    nowhere = set.intersection(*(set(d.lacking) for d in known)) if known else set[str]()
    sweeps = {sweep for peer in every for sweep in peer.sweeps.values()}
    shares = {sweep: telemetry(every, sweep, 0).share for sweep in sweeps}
    return Announcement(
        workers=len(known),
        classes=frozenset(c for peer in every for c in peer.classes.values()),
        lacking={name: known[0].lacking[name] for name in sorted(nowhere)},
        shares={sweep: share for sweep, share in sorted(shares.items()) if share is not None},
        storage=storage,
        on_demand=on_demand,
    )


def due(said: Announcement | None, news: Announcement, since_s: float) -> bool:
    """Whether it is time to say the news.

    Args:
        said: what was said last; None before the first.
        since_s: seconds since then.
    """
    if said is None:
        return True
    steady = replace(said, shares={}) == replace(news, shares={})
    return not steady or (said != news and since_s >= TELEMETRY_S)
