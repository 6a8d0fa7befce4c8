"""The comparison sees every planted difference, and a journal every second write."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from tests.chaos.run import twice
from tests.chaos.verify import Ended, Record, Writes, differences, journal, keep_journal

TRIAL = Ended("finished", 400, "f" * 64, "c" * 64, "class", (("accuracy", "0.5", "0.6", 200),))
CALM = Record({(0, 0): TRIAL, (0, 1): TRIAL, (1, 0): TRIAL, (1, 1): TRIAL}, "findings", "bundle")


def test_equal_records_have_no_difference() -> None:
    assert differences(replace(CALM, attempts=9), CALM, 4) == []


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("state", "errored"),
        ("steps", 399),
        ("fingerprint", "e" * 64),
        ("curve", "d" * 64),
        ("numerics", "another"),
        ("metrics", (("accuracy", "0.5000000000000001", "0.6", 200),)),
    ],
)
def test_one_bit_of_one_trial_is_a_difference(part: str, value: object) -> None:
    changed = {**CALM.trials, (1, 0): replace(TRIAL, **{part: value})}
    [found] = differences(replace(CALM, trials=changed), CALM, 4)
    assert found == f"cell 1, seed 0 differs in {part}"


def test_a_missing_trial_and_other_hashes_are_differences() -> None:
    fewer = {place: trial for place, trial in CALM.trials.items() if place != (0, 1)}
    found = differences(Record(fewer, "others", "others"), CALM, 4)
    assert len(found) == 4


@pytest.mark.parametrize("bare", ["postgresql"], indirect=True)
def test_the_database_sees_a_second_write(engine: Engine) -> None:
    """Even one that leaves the same row; what is rolled back was never written."""
    with engine.begin() as connection:  # as if the schema refused nothing
        connection.execute(text("DROP TABLE outcomes CASCADE"))
        connection.execute(text("CREATE TABLE outcomes (trial BIGINT, steps INTEGER)"))
    keep_journal(engine)
    row = text("INSERT INTO outcomes VALUES (:trial, 1)")
    with engine.begin() as connection:
        for trial in (1, 2, 2):
            connection.execute(row, {"trial": trial})
    with engine.connect() as connection:
        connection.execute(row, {"trial": 1})
        connection.rollback()
    assert journal(engine) == Writes(2, {2: 2}, 0)
    assert twice(journal(engine), 2) == ["trials [2] were written more than once"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE outcomes SET steps = 2 WHERE trial = 1"))
    assert journal(engine).others == 1
    assert len(twice(journal(engine), 3)) == 3
