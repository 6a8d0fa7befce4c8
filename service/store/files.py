"""Files in storage, as the store knows them: which of them nobody needs any more."""

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.store.tables import leftovers, outcomes, sweeps, trials

#: trials whose checkpoints may still be gone on from
_OPEN_TRIALS = ("waiting", "running")


def known(session: Session, found: Collection[str]) -> set[str]:
    """Of names of sweeps those that are in this store; others' files are not its to remove."""
    return set(session.scalars(select(sweeps.c.id).where(sweeps.c.id.in_(found))))


def needless_checkpoints(session: Session, sweep: str, found: Collection[int]) -> set[int]:
    """Of trials of a sweep that have checkpoints, those that have ended.

    They are read after the files were found: what has ended is not tried again from a file, and
    whoever still writes one is refused at the end.
    """
    query = select(trials.c.id).where(
        trials.c.sweep == sweep, trials.c.id.in_(found), trials.c.state.in_(_OPEN_TRIALS)
    )
    return set(found) - set(session.scalars(query))


def needless_weights(
    session: Session, sweep: str, found: Collection[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Of (trial, attempt) of a sweep that have weights, those that no outcome has or will have.

    An outcome comes from the attempt that is running, or was the last one.
    """
    rows = session.execute(
        select(trials.c.id, trials.c.attempt, trials.c.state, outcomes.c.weights)
        .outerjoin(outcomes, outcomes.c.trial == trials.c.id)
        .where(trials.c.sweep == sweep, trials.c.id.in_({trial for trial, _ in found}))
    )
    needed = {(r.id, r.attempt) for r in rows if r.weights is not None or r.state == "running"}
    return set(found) - needed


def deleted(session: Session, limit: int) -> list[str]:
    """Deleted sweeps whose files may still lie in storage."""
    return list(session.scalars(select(leftovers.c.sweep).order_by(leftovers.c.sweep).limit(limit)))


def cleared(session: Session, sweep: str) -> None:
    """Nothing of a deleted sweep lies in storage any more."""
    session.execute(delete(leftovers).where(leftovers.c.sweep == sweep))
