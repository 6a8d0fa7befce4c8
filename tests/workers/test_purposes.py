"""Each draw comes from the stream of its own purpose, and a draw from another's is caught.

The law, through the whole engine: give one purpose another number, and exactly what is drawn for
that purpose changes. Noise drawn from init's stream does not change with noise's number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest

from models import streams
from models.catalog import experiments
from models.streams import Purpose, TrialKey
from tests.laws import ROOT, run
from workers.messages import Assignment, Outcome, PackSpec

#: what an arm adds to the defaults, and to what its weights depend on
ARMS = {
    "plain": ({}, frozenset()),
    "noisy": ({"noise_eta": 1.0}, frozenset({"noise"})),
    "dropping": ({"noise_eta": 1.0, "dropout": 0.5}, frozenset({"noise", "dropout"})),
}


@dataclass(frozen=True)
class Family:
    """An experiment at a small size.

    Attributes:
        start: purposes that the weights of every arm depend on.
        judged: purposes that its evaluations depend on, beside the weights.
        arms: those that are looked at.
    """

    name: str
    experiment: str
    shared: Mapping[str, Any]
    start: frozenset[str] = frozenset({"init", "data"})
    judged: frozenset[str] = frozenset()
    arms: tuple[str, ...] = tuple(ARMS)


SMALL = {"depth": 3, "width": 8, "batch": 4}
FAMILIES = [
    Family("deep_mlp", "deep_mlp", SMALL),
    # weights of zero, once noise has taken the signs off their zeros, show nothing of init
    Family(
        "deep_mlp from zero",
        "deep_mlp",
        SMALL | {"init": "zero"},
        start=frozenset({"data"}),
        arms=("noisy", "dropping"),
    ),
    Family(
        "neural_gpu",
        "neural_gpu",
        {"bits": 4, "start_bits": 4, "maps": 4, "batch": 4, "eval_examples": 40},
        judged=frozenset({"evaluation"}),
    ),
]


def trained(family: Family, arm: str) -> Outcome:
    """One trial of an arm, over two segments."""
    experiment = experiments()[family.experiment]
    defaults = experiment.lane_values(experiment.resolve(dict(family.shared)))
    values = defaults | ARMS[arm][0]
    spec = PackSpec(family.experiment, family.shared, 3, 6, evaluate_every=1, expensive="end")
    return run(spec, [Assignment(1, 1, ROOT, 2, 3, values)], 1)[1]


def reads(family: Family, arm: str) -> tuple[set[str], set[str]]:
    """The purposes on which the final weights depend, and those on which the curve does."""
    before = trained(family, arm)
    weights: set[str] = set()
    curve: set[str] = set()
    for purpose in get_args(Purpose):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(streams.PURPOSES, purpose, 900)
            after = trained(family, arm)
        if after.fingerprint != before.fingerprint:
            weights.add(purpose)
        if after.curve != before.curve:
            curve.add(purpose)
    return weights, curve


def check_purposes(family: Family) -> None:
    """Weights depend on start and on what the arm adds; evaluations on their own stream as well.

    Evaluations are looked at in the plain arm: with much noise a network answers any question the
    same.

    Raises:
        AssertionError: naming the arm, what was read and what should be.
    """
    for arm in family.arms:
        weights, curve = reads(family, arm)
        wanted = family.start | ARMS[arm][1]
        assert weights == wanted, f"{arm} weights read {sorted(weights)}, not {sorted(wanted)}"
        judged = curve - weights
        right = judged == family.judged or arm != "plain"
        assert right, f"{arm} curve reads {sorted(judged)} beside the weights"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_each_draw_comes_from_the_stream_of_its_purpose(family: Family) -> None:
    check_purposes(family)


@pytest.mark.parametrize(
    ("purpose", "instead", "words"),
    [
        ("noise", "init", r"noisy weights read \['data', 'init'\], not .*'noise'\]"),
        ("noise", "data", r"noisy weights read \['data', 'init'\], not .*'noise'\]"),
        ("dropout", "noise", r"dropping weights read \['data', 'init', 'noise'\], not .*'dropout'"),
        ("data", "init", r"plain weights read \['init'\], not \['data', 'init'\]"),
        ("init", "data", r"plain weights read \['data'\], not \['data', 'init'\]"),
        ("evaluation", "data", r"plain curve reads \[\] beside"),
    ],
)
def test_a_draw_from_the_stream_of_another_purpose_is_caught(
    monkeypatch: pytest.MonkeyPatch, purpose: str, instead: Purpose, words: str
) -> None:
    sound = streams.seed_sequence

    def faulty(key: TrialKey, asked: Purpose, segment: int = 0) -> np.random.SeedSequence:
        return sound(key, instead if asked == purpose else asked, segment)

    monkeypatch.setattr(streams, "seed_sequence", faulty)
    with pytest.raises(AssertionError, match=words):
        check_purposes(FAMILIES[2])
