"""One run: the sweep undisturbed, the sweep under fire, and the two compared."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from service.client import Client, ServiceError, ServiceUnreachableError
from service.store.engine import open_engine
from tests.chaos import undisturbed
from tests.chaos.deal import Fire, fire
from tests.chaos.parts import START_S, until
from tests.chaos.schedule import Fault
from tests.chaos.site import Site
from tests.chaos.sweep import spec
from tests.chaos.verify import (
    Record,
    Writes,
    differences,
    journal,
    keep_journal,
    only_sweep,
    read,
)

KEY = "the one submission"


@dataclass(frozen=True)
class Verdict:
    """What a run came to.

    Attributes:
        wrong: everything that is not as it must be; empty where all held.
        refused: late writes that the store refused, of the logs of dispatchers.
        events: how often these logs have each of `EVENTS`.
        restarts: parts that ended by themselves, and how often.
    """

    fire: Fire
    found: Record
    undisturbed: Record
    writes: Writes
    refused: int
    events: Counter[str]
    restarts: Counter[str]
    wrong: Sequence[str]


#: events of the dispatchers' logs that are counted
EVENTS = (
    "worker_lost",
    "worker_ready",
    "late_write_refused",
    "lease_lost",
    "trials_taken_over",
    "store_unreachable",
    "turn_failed",
    "answer_refused",
    "order_not_sent",
)


def run(
    sites: Callable[[Path], AbstractContextManager[Site]],
    folder: Path,
    schedule: Sequence[Fault],
    *,
    trials: int,
    steps: int,
    limit_s: float,
    say: Callable[[str], None],
) -> Verdict:
    """Shoots at a sweep, and says what is wrong with what is left of it.

    Raises:
        TooLateError: the sweep did not last for all faults, or did not end in time.
        PartError: a part did not come up.
    """
    store = folder / "undisturbed.db"
    undisturbed.warm(folder)
    beside = undisturbed.begin(store, trials, steps)
    try:
        with sites(folder) as site:
            keep_journal(site.engine)
            say(f"up: {', '.join(part.name for part in site.parts())}")
            sweep = submitted(site, trials, steps)
            found = fire(site, sweep, schedule, limit_s, say)
            record, writes = read(site.engine, sweep), journal(site.engine)
            again = submitted(site, trials, steps)
            events = Counter({event: site.logged(event) for event in EVENTS})
            wrong = [] if again == sweep else ["the same submission made a second sweep"]
            wrong += answers(site, sweep, record)
        undisturbed.ended(beside, store.with_suffix(".log"), limit_s)
    finally:
        beside.kill()
        beside.wait()
    engine = open_engine(f"sqlite:///{store}")
    calm = read(engine, only_sweep(engine))
    engine.dispose()
    wrong += differences(record, calm, trials) + twice(writes, trials)
    return Verdict(
        found, record, calm, writes, events["late_write_refused"], events, site.restarts, wrong
    )


def submitted(site: Site, trials: int, steps: int) -> str:
    """Submits over whichever replica answers, always under one key; the sweep's id."""
    found: list[str] = []

    def one_answers() -> bool:
        for client in site.clients():
            with client:
                try:
                    found.append(client.submit(spec(trials, steps), KEY)["id"])
                except (ServiceUnreachableError, ServiceError):
                    continue
                return True
        return False

    until(one_answers, START_S, site.tails)
    return found[0]


def answers(site: Site, sweep: str, record: Record) -> list[str]:
    """What replicas say of the sweep that is not what its store says."""
    wrong = []
    for url in site.urls:
        with Client(url) as client:
            said = asked(client, sweep)
            if said != record.findings:
                wrong.append(f"{url} says that the findings' hash is {said}")
    return wrong


def asked(client: Client, sweep: str) -> str:
    """The findings' hash as a replica has it, once it is up again."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return str(client.report(sweep, "json")["findings_hash"])
        except (ServiceUnreachableError, ServiceError) as error:
            if time.monotonic() > deadline:
                return f"not to be had: {error}"
        time.sleep(0.2)


def twice(writes: Writes, trials: int) -> list[str]:
    """What the database's own journal of writes says against one write a trial."""
    wrong = []
    if writes.inserted != trials:
        wrong.append(f"outcomes of {writes.inserted} trials were written, of {trials}")
    if writes.again:
        wrong.append(f"trials {sorted(writes.again)[:5]} were written more than once")
    if writes.others:
        wrong.append(f"{writes.others} outcomes were changed or deleted")
    return wrong
