"""Runs a ready sweep on this machine, and goes on where an earlier run of it was interrupted."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.catalog import experiments
from service import local
from service.client import Client
from service.plan import Plan
from service.presets import Preset, preset
from service.spec import parse
from service.store import sweeps
from service.store.archive import ArchiveError, restore, settled_records
from service.store.engine import open_engine, reading_factory, session_factory, upgrade
from service.store.evidence import run_facts
from service.study import archive, page

OUTCOMES = "outcomes.parquet"
_LOOK_S = 2.0
Say = Callable[[str], None]


class OutOfTimeError(Exception):
    """The time that the study was given is over; what is settled is kept."""


@dataclass
class Study:
    """One preset and the folder that its results lie in.

    Args:
        name: the preset's.
        folder: of all results; its own is a part of it.
        say: told how it goes.
    """

    name: str
    folder: Path
    say: Say

    @property
    def preset(self) -> Preset:
        """What is run."""
        return preset(self.name)

    @property
    def place(self) -> Path:
        """Where its results lie."""
        return self.folder / self.name

    @property
    def plan(self) -> Plan:
        """What the preset asks for."""
        return parse(self.preset.spec, experiments())

    def kept(self) -> archive.Archive | None:
        """What an earlier run left.

        Raises:
            ArchiveError: it is of another spec: the preset has changed since.
        """
        file = self.place / OUTCOMES
        if not file.exists():
            return None
        found = archive.read(file)
        if found.spec != self.plan.spec:
            raise ArchiveError(
                f"{self.name}/{OUTCOMES} was made from another spec than the preset's of now; move "
                "it away to begin anew, or go back to the version that made it"
            )
        return found

    def core_hours(self) -> tuple[float, float]:
        """Expected core-hours of the whole, and of what is left.

        Raises:
            ArchiveError: what was kept is damaged, or nothing is known of the preset's pace.
        """
        pace = self.preset.pace
        if pace is None:
            raise ArchiveError(
                f"preset {self.name} has no pace, so its time is unknown; add what a core was "
                "measured to do to its file"
            )
        plan, kept = self.plan, self.kept()
        by_cell = {c.index: plan.structures[c.structure].pack.steps for c in plan.cells}
        whole = plan.seeds * sum(by_cell.values())
        done = sum(by_cell[r.cell] for r in kept.records) if kept is not None else 0
        return whole / pace / 3600, (whole - done) / pace / 3600

    def run(self, until: float) -> None:
        """Trains what is missing; writes outcomes after each settled cohort, the page at the end.

        Args:
            until: the moment (time.monotonic) at which it stops, with what is settled kept.

        Raises:
            ArchiveError: what was kept is of another numerics class than this machine's.
            OutOfTimeError: the time is over.
        """
        plan, kept = self.plan, self.kept()
        with tempfile.TemporaryDirectory(prefix="seedbed-study-") as here:
            state = Path(here) / "state"
            state.mkdir(mode=0o700)
            url = f"sqlite:///{state / 'seedbed.db'}"
            sweep = self._prepared(url, plan, kept)
            api, process = local.start(Path(here))
            try:
                with Client(api, key="") as client:
                    local.await_ready(client, process, Path(here) / local.LOG)
                    self._follow(client, url, sweep, kept.seconds if kept else 0.0, until)
                    report = client.report(sweep, "json")
                    text = client.report(sweep, "markdown")
            finally:
                local.stop(process)
        done = self.kept()
        assert done is not None  # noqa: S101 - a finished sweep has settled cohorts
        page.write(self.place, self.preset, report, text, done)

    def _prepared(self, url: str, plan: Plan, kept: archive.Archive | None) -> str:
        """A store that holds the sweep, and what was kept of it."""
        engine = open_engine(url)
        try:
            upgrade(engine)
            with session_factory(engine).begin() as session:
                now = datetime.now(UTC)
                sweep, _ = sweeps.create(session, plan, now=now)
                if kept is not None:
                    count = restore(session, sweep, plan, kept.records, kept.numerics, now)
                    self.say(f"{self.name}: {count} of {plan.cohorts} cohorts were kept")
            return sweep
        finally:
            engine.dispose()

    def _follow(self, client: Client, url: str, sweep: str, before_s: float, until: float) -> None:
        """Keeps each cohort as it settles."""
        engine = open_engine(url)
        began = time.monotonic()
        settled = client.progress(sweep)["cohorts"]["settled"]
        try:
            while True:
                now = client.progress(sweep)
                if now["cohorts"]["settled"] > settled or now["state"] == "finished":
                    settled = now["cohorts"]["settled"]
                    self._keep(engine, sweep, before_s + time.monotonic() - began)
                    self.say(
                        f"{self.name}: {settled} of {now['cohorts']['total']} cohorts settled, "
                        f"{now['ended']} of {now['trials']} trials ended"
                    )
                if now["state"] == "finished":
                    return
                if now["state"] not in ("waiting", "running", "stopping"):
                    raise ArchiveError(
                        f"{self.name}/{OUTCOMES} is of another numerics class than this machine "
                        f"and code ({now['state']}: {now['reason']}); move it away to begin anew, "
                        "or go back to what made it"
                    )
                if time.monotonic() > until:
                    raise OutOfTimeError(
                        f"{self.name} is at cohort {settled}; run it again to go on"
                    )
                time.sleep(_LOOK_S)
        finally:
            engine.dispose()

    def _keep(self, engine: Any, sweep: str, seconds: float) -> None:
        with reading_factory(engine)() as session:
            records = list(settled_records(session, sweep))
            found = run_facts(session, sweep)["numerics_classes"]
        numerics = {k: v for k, v in found[0].items() if k != "id"}
        kept = archive.Archive(self.plan.spec, numerics, round(seconds, 1), records)
        archive.write(self.place / OUTCOMES, kept)
