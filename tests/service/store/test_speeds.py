"""Speeds add up by structure and numerics class, on every store."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from service.store import speeds
from service.store.engine import session_factory
from tests.service.samples import moment, plan

PACK = plan().structures[0].pack
OTHER = replace(PACK, shared={**PACK.shared, "depth": 77})


def test_a_structures_speed_is_of_all_that_trained_on_what_trained_it_last(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions.begin() as session:
        assert speeds.of_experiment(session, "deep_mlp") == {}
        speeds.add(session, PACK, "here", 3_000_000_000, 1e6, moment(1))
        speeds.add(session, PACK, "here", 1_000_000_000, 1e6, moment(2))
        speeds.add(session, PACK, "there", 5, 1.0, moment(0))
        speeds.add(session, PACK, "here", 0, 100.0, moment(9))
        speeds.add(session, OTHER, "here", 10, 2.0, moment(3))
    with sessions.begin() as session:
        found = speeds.of_experiment(session, "deep_mlp")
        assert speeds.known(found, [PACK, OTHER]) == [pytest.approx(2000.0), 5.0]
        assert speeds.known(found, [replace(PACK, steps=400)]) == [pytest.approx(2000.0)]
        assert speeds.known(found, [replace(PACK, experiment="neural_gpu")]) == [None]
        assert speeds.of_experiment(session, "neural_gpu") == {}
        speeds.add(session, PACK, "there", 5, 1.0, moment(10))
    with sessions() as session:
        found = speeds.of_experiment(session, "deep_mlp")
        assert speeds.known(found, [PACK]) == [5.0]
