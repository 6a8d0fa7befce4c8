"""Widths are remembered by structure and numerics class, on every store."""

from dataclasses import replace

from sqlalchemy import Engine

from service.store import widths
from service.store.engine import session_factory
from tests.service.samples import moment, plan

PACK = plan().structures[0].pack


def test_a_width_is_recalled_for_its_structure_class_and_level(engine: Engine) -> None:
    sessions = session_factory(engine)
    other = replace(PACK, shared={**PACK.shared, "depth": 77})
    longer = replace(PACK, steps=2 * PACK.steps)
    with sessions.begin() as session:
        widths.remember(session, PACK, "here", {0: 16, 3: 8}, moment())
        widths.remember(session, PACK, "there", {0: 128}, moment())
        widths.remember(session, PACK, "here", {}, moment())
    with sessions.begin() as session:
        assert widths.recall(session, PACK, "here") == {0: 16, 3: 8}
        assert widths.recall(session, longer, "here") == {0: 16, 3: 8}
        assert widths.recall(session, PACK, "there") == {0: 128}
        assert widths.recall(session, other, "here") == {}
        widths.remember(session, PACK, "here", {0: 32}, moment(1))
    with sessions() as session:
        assert widths.recall(session, PACK, "here") == {0: 32, 3: 8}


def test_the_order_of_shared_values_names_no_other_structure() -> None:
    turned = replace(PACK, shared=dict(reversed(PACK.shared.items())))
    assert widths.structure_hash(turned) == widths.structure_hash(PACK)
    renamed = replace(PACK, experiment="another")
    assert widths.structure_hash(renamed) != widths.structure_hash(PACK)
