"""A reading session sees one moment, whatever is committed between its statements."""

from sqlalchemy import Engine

from service.store.engine import reading_factory, session_factory
from service.store.progress import cell_counts, progress
from tests.service.samples import outcome
from tests.service.store.test_conformance import claim, complete, create


def test_a_cohort_that_settles_between_two_statements_is_in_both_or_in_neither(
    engine: Engine,
) -> None:
    """A report would else divide the successes of one moment by the trials of another."""
    writing, reading = session_factory(engine), reading_factory(engine)
    sweep = create(writing)
    taken = claim(writing, sweep, 8)
    with reading() as reader:
        before = progress(reader, sweep)
        complete(writing, [outcome(t) for t in taken])
        cells = cell_counts(reader, sweep)
        assert progress(reader, sweep) == before
    assert before.settled_cohorts == 0
    assert sum(sum(c.settled.values()) for c in cells) == 0
    with reading() as reader:
        assert progress(reader, sweep).settled_cohorts == 1
