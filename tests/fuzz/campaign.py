"""Runs of schemathesis's engine against a stage."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.generation.case import Case
from schemathesis.generation.meta import TestPhase

from tests.fuzz.settings import excused, settings
from tests.fuzz.stage import Stage
from tests.fuzz.tally import Tally

#: seconds of one run of the engine, which is begun anew with another seed
RUN_S = 120
_SUBMIT = ("POST", "/api/v1/sweeps")


def campaign(
    stage: Stage,
    tally: Tally,
    *,
    seed: int,
    requests: int,
    most_s: float,
    say: Callable[[str], object],
) -> int:
    """Asks until the tally has so many requests, or for so long; the seed after its last."""
    ends = time.monotonic() + most_s
    while tally.requests < requests and (left := ends - time.monotonic()) > 1:
        run(stage, tally, seed=seed, max_time_s=min(RUN_S, int(left)), examples=50)
        seed += 1
        say(f"{tally.requests:,} requests, {tally.wrong.total()} failures, {left:.0f} s left")
    return seed


def run(
    stage: Stage,
    tally: Tally,
    *,
    seed: int,
    max_time_s: int | None,
    examples: int,
    only: str | None = None,
) -> None:
    """One run of all phases, over all operations that are described, or `only` a path's."""
    config = settings(
        stage.served.url, seed, max_time_s=max_time_s, examples=examples, headers=stage.headers
    )
    url = f"{stage.served.url}/openapi.json"
    schema = schemathesis.openapi.from_url(url, config=config, headers=stage.headers)
    schema = schema if only is None else schema.include(path=only)
    with _hooks(stage):
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                tally.add(event.recorder)
            elif isinstance(event, events.NonFatalError):
                tally.errors.append(f"{event.label}: {event.info.title}: {event.info.message}")
            elif isinstance(event, events.FatalError):
                raise event.exception


@contextmanager
def _hooks(stage: Stage) -> Iterator[None]:
    """What schemathesis asks of us while it runs."""

    def before_call(context: Any, case: Case[Any], kwargs: dict[str, Any]) -> None:
        aim(stage, case)

    def filter_failure(context: Any, failure: Failure, case: Case[Any], response: Response) -> bool:
        return not excused(failure, response)

    schemathesis.hook(before_call)
    schemathesis.hook(filter_failure)
    try:
        yield
    finally:
        schemathesis.hooks.unregister(before_call)
        schemathesis.hooks.unregister(filter_failure)


def aim(stage: Stage, case: Case[Any]) -> None:
    """Gives most valid requests something that is there to ask about, and keeps its own key."""
    if stage.key_id is not None and case.path_parameters.get("key") == stage.key_id:
        case.path_parameters["key"] = stage.key_id[::-1]  # it was listed, and would be revoked
    meta = case.meta
    if meta is None or meta.phase.name is TestPhase.STATEFUL or meta.generation.mode.is_negative:
        return
    mostly = functools.partial(stage.chance, 0.8)
    if "sweep" in case.path_parameters and mostly():
        case.path_parameters["sweep"] = stage.sweep()
    if "trial" in case.path_parameters and mostly() and (trial := stage.trial()) is not None:
        case.path_parameters["trial"] = trial
    if "with" in case.query and mostly():
        case.query["with"] = stage.sweep()
    if (case.method.upper(), case.path) == _SUBMIT and stage.chance(0.5):
        case.body = stage.spec()
