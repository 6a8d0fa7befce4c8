"""Cohorts that were kept come back through the store's own completion, and nothing else does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.report.build import build
from service.store import claims, classes, completion, sweeps
from service.store.archive import ArchiveError, Record, restore, settled_records
from service.store.engine import session_factory
from service.store.progress import progress
from service.study import archive
from tests.service.samples import NUMERICS, moment, outcome, plan
from workers.messages import Failure, MetricRecord

#: of a trial that diverged before its first evaluation
NEVER = {"test_accuracy": MetricRecord(None, None, None)}


@pytest.fixture
def sessions(engine: Engine) -> Iterator[sessionmaker[Session]]:
    """Of every store."""
    return session_factory(engine)  # type: ignore[return-value]


def trained(sessions: sessionmaker[Session], limit: int) -> str:
    """A sweep of which the first trials ended: one errored, one diverged."""
    with sessions.begin() as session:
        sweep, _ = sweeps.create(session, plan(), now=moment())
        assert classes.pin(session, sweep, NUMERICS)
        left = limit
        while left:
            taken = claims.claim(session, sweep, 0, left, worker="w", now=moment(1))
            bad = [t for t in taken if t.seed == 0][:1]
            changes: list[dict[str, Any]] = [
                {"end_state": "diverged", "metrics": NEVER, "curve": b"c"} if t.seed == 1 else {}
                for t in taken
            ]
            pairs = [(t, c) for t, c in zip(taken, changes, strict=True) if t not in bad]
            completion.complete(
                session,
                outcomes=[outcome(t, **c) for t, c in pairs],
                failures=[Failure(t.trial, t.attempt, "Boom", "Trace") for t in bad],
                dropped=(),
                numerics_id=classes.class_id(NUMERICS),
                max_attempts=1,
                now=moment(2),
            )
            left -= len(taken)
    return sweep


def kept(sessions: sessionmaker[Session], sweep: str) -> list[Record]:
    """What the settled cohorts hold."""
    with sessions() as session:
        return list(settled_records(session, sweep))


@pytest.mark.parametrize(("ended", "cohorts"), [(24, 3), (19, 2), (8, 1)])
def test_records_come_back_through_a_file_and_count_as_before(
    sessions: sessionmaker[Session], tmp_path: Path, ended: int, cohorts: int
) -> None:
    first = trained(sessions, ended)
    records = kept(sessions, first)
    assert len(records) == 8 * cohorts
    spec = plan().spec
    file = tmp_path / "a" / "outcomes.parquet"
    archive.write(file, archive.Archive(spec, NUMERICS, 12.5, records))
    found = archive.read(file)
    assert (found.spec, found.numerics, found.seconds) == (spec, NUMERICS, 12.5)
    assert list(found.records) == records
    with sessions.begin() as session:
        second, _ = sweeps.create(session, plan(), now=moment())
        assert restore(session, second, plan(), found.records, NUMERICS, moment(3)) == cohorts
    with sessions() as session:
        now = progress(session, second)
        assert now.settled_cohorts == cohorts
        assert now.state == ("finished" if cohorts == 3 else "running")
        if ended == 24:
            assert build(session, first).findings_hash == build(session, second).findings_hash
    assert kept(sessions, second) == [
        r if r.state != "errored" else replace(r, error="Boom") for r in records
    ]


def test_a_file_is_equal_for_equal_outcomes(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    records = kept(sessions, trained(sessions, 24))
    for name in ("a", "b"):
        archive.write(tmp_path / name, archive.Archive(plan().spec, NUMERICS, 1.0, records))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r[:-1],
        lambda r: [*r, r[0]],
        lambda r: [*r[:-1], replace(r[-1], seed=99)],
        lambda r: [*r[:-1], replace(r[-1], cell=77)],
    ],
)
def test_records_that_are_not_whole_cohorts_are_refused_and_nothing_is_stored(
    sessions: sessionmaker[Session], spoil: Any
) -> None:
    records = spoil(kept(sessions, trained(sessions, 16)))
    with sessions.begin() as session:
        sweep, _ = sweeps.create(session, plan(), now=moment())
    with (
        pytest.raises(ArchiveError, match="move it away"),
        sessions.begin() as session,
    ):
        restore(session, sweep, plan(), records, NUMERICS, moment(3))
    with sessions() as session:
        assert progress(session, sweep).ended == 0


def test_an_outcome_without_its_curve_is_refused(sessions: sessionmaker[Session]) -> None:
    records = kept(sessions, trained(sessions, 8))
    broken = [replace(r, curve=None) if r.state == "finished" else r for r in records]
    with sessions.begin() as session:
        sweep, _ = sweeps.create(session, plan(), now=moment())
    with pytest.raises(ArchiveError, match="has no outcome"), sessions.begin() as session:
        restore(session, sweep, plan(), broken, NUMERICS, moment(3))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a file of ours"])
def test_what_is_no_archive_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "outcomes.parquet"
    file.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"outcomes\.parquet holds no outcomes .* move it away"):
        archive.read(file)
