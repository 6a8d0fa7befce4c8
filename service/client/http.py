"""One method a route of the REST API; a refusal becomes a ServiceError that says what to do."""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import httpx

from service.client.errors import DamagedFileError, ReplyLostError
from service.client.events import Event, events
from service.client.wire import PATIENCE_S, Json, Wire, path_of, refusal

DEFAULT_URL = "http://127.0.0.1:8321"
PAGE = 200
#: a submission whose reply was lost is sent again this often, under the same key
RETRIES = 2

#: a stream says something every 15 s; one that says nothing for so long is broken
SILENT_S = 45.0
#: a report of a million trials takes its time
REPORT_S = 900.0

Format = Literal["json", "markdown", "csv", "latex", "html", "svg", "png", "parquet", "bundle"]


class Client:
    """Speaks to a Seedbed service; a context manager that closes its connections.

    Args:
        url: where the service listens.
        timeout_s: the longest that one request may wait for its reply.
        key: the API key that is sent; that in SEEDBED_KEY unless given, and '' sends none.
        transport: what carries requests, for tests.
        patience_s: for how long a request is repeated that the service cannot take now (429, 503)
            and says when to come back; 0: never.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        timeout_s: float = 60.0,
        *,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._wire = Wire(url, timeout_s, key=key, transport=transport, patience_s=patience_s)
        self.url = self._wire.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._wire.close()

    def submit(
        self, spec: Mapping[str, Any], idempotency_key: str | None = None, *, dry_run: bool = False
    ) -> Json:
        """Creates a sweep and returns it; with `dry_run` returns only what it would run.

        A reply that is lost on the way is asked for again under the same key, which gives the same
        sweep. The key is drawn afresh unless given: an equal spec is then a new sweep.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        for _ in range(RETRIES):
            try:
                return self._submit(spec, headers, dry_run=dry_run)
            except ReplyLostError:
                continue
        return self._submit(spec, headers, dry_run=dry_run)

    def _submit(
        self, spec: Mapping[str, Any], headers: Mapping[str, str], *, dry_run: bool
    ) -> Json:
        params = {"dry_run": "true"} if dry_run else {}
        return self._wire.json("POST", "/sweeps", json=dict(spec), params=params, headers=headers)

    def sweeps(self, *, owner: str | None = None, label: str | None = None) -> Iterator[Json]:
        """Sweeps, newest first, those with a label; pages are asked for as they are needed.

        Args:
            owner: whose; `me` is whoever asks.
            label: that they have.
        """
        wanted = {"owner": owner, "label": label}
        return self._pages("/sweeps", {k: v for k, v in wanted.items() if v is not None})

    def sweep(self, sweep: str) -> Json:
        """One sweep with its spec, state and counters."""
        return self._wire.json("GET", path_of("sweeps", sweep))

    def progress(self, sweep: str) -> Json:
        """The counters of a sweep: arrivals as progress, successes of settled cohorts only."""
        return self._wire.json("GET", path_of("sweeps", sweep, "progress"))

    def events(self, sweep: str, last_id: str = "") -> Iterator[Event]:
        """What happens to a sweep, as it happens; ends after its event `end`.

        Nothing is asked again: whoever reads on after a ReplyLostError begins anew, and is told
        what is newer than `last_id`. A sweep that is followed so costs the service one connection.

        Args:
            sweep: its id.
            last_id: `id` of the last event that was read.

        Raises:
            ReplyLostError: the stream broke before the sweep ended.
        """
        headers = {"Last-Event-ID": last_id} if last_id else {}
        path = path_of("sweeps", sweep, "events")
        with self._wire.stream(path, headers=headers, read_s=SILENT_S) as reply:
            if not reply.headers.get("content-type", "").startswith("text/event-stream"):
                raise self._wire.foreign(reply)
            for event in events(reply.iter_bytes()):
                yield event
                if event.name == "end":
                    return
        raise ReplyLostError(self.url, "the stream of events ended before the sweep did")

    def pause(self, sweep: str) -> Json:
        """Stops claims; trials that train go on to their end."""
        return self._wire.json("POST", path_of("sweeps", sweep, "pause"), json={})

    def resume(self, sweep: str, accept_class: str | None = None) -> Json:
        """Lets a paused sweep go on; after a change of code only with the class accepted."""
        body = {} if accept_class is None else {"accept_class": accept_class}
        return self._wire.json("POST", path_of("sweeps", sweep, "resume"), json=body)

    def cancel(self, sweep: str) -> Json:
        """Cancels what has not ended."""
        return self._wire.json("POST", path_of("sweeps", sweep, "cancel"), json={})

    def add_criteria(self, sweep: str, *criteria: Mapping[str, Any]) -> Json:
        """Adds thresholds to a sweep, each `{metric, at_most | at_least, at}`; nothing is trained.

        They are marked post hoc if an outcome was there already.
        """
        body = {"criteria": {"add": [dict(c) for c in criteria]}}
        return self._wire.json("PATCH", path_of("sweeps", sweep), json=body)

    def change(
        self,
        sweep: str,
        *,
        priority: int | None = None,
        labels: Sequence[str] | None = None,
        note: str | None = None,
    ) -> Json:
        """Changes how a sweep is treated; no trial and no finding depends on it.

        Args:
            priority: -100 to 100; 10 higher is twice the weight.
            labels: all that it has afterwards.
            note: the whole of it afterwards.
        """
        body = {"priority": priority, "labels": labels, "note": note}
        given = {k: v for k, v in body.items() if v is not None}
        return self._wire.json("PATCH", path_of("sweeps", sweep), json=given)

    def extend(
        self,
        sweep: str,
        *,
        seeds: int | None = None,
        arms: Mapping[str, Mapping[str, Any]] | None = None,
        grid: Mapping[str, Sequence[Any]] | None = None,
    ) -> Json:
        """Gives a finished sweep more; only what is missing runs.

        Args:
            seeds: how many a cell has afterwards.
            arms: name -> overrides, of arms beside its own.
            grid: hyper-parameter of the grid -> values beside its own.
        """
        body = {"seeds": seeds, "arms": arms, "grid": grid}
        given = {k: v for k, v in body.items() if v is not None}
        return self._wire.json("POST", path_of("sweeps", sweep, "extend"), json=given)

    def delete(self, sweep: str) -> None:
        """Deletes an ended sweep with all its outcomes."""
        self._wire.send("DELETE", path_of("sweeps", sweep))

    def trials(
        self,
        sweep: str,
        *,
        arm: str | None = None,
        cell: int | None = None,
        end_state: str | None = None,
        success: bool | None = None,
        criterion: int | None = None,
    ) -> Iterator[Json]:
        """A sweep's trials that were claimed, in order of id; pages are asked for as needed.

        Outcomes are shown, and found by success, once their cohort is settled; a trial that ended
        before is in state `arrived`.
        """
        wanted = {
            "arm": arm,
            "cell": cell,
            "end_state": end_state,
            "success": success,
            "criterion": criterion,
        }
        given = {k: v for k, v in wanted.items() if v is not None}
        return self._pages(path_of("sweeps", sweep, "trials"), given)

    def trial(self, trial: int) -> Json:
        """One trial; an errored one with its error and traceback."""
        return self._wire.json("GET", path_of("trials", str(trial)))

    def report(
        self,
        sweep: str,
        format: Format = "json",  # noqa: A002 - the route's word
        figure: str | None = None,
    ) -> Any:
        """The report: a dict for json, bytes for png, parquet and bundle, text for the others.

        Args:
            sweep: its id.
            format: what it is written as.
            figure: of svg and png, which one: rates, difference, ecdf, survival, courses, grid or
                cells.
        """
        params = {"format": format} | ({} if figure is None else {"figure": figure})
        path = path_of("sweeps", sweep, "report")
        reply = self._wire.send("GET", path, params=params, timeout=REPORT_S)
        if format == "json":
            return self._wire.parsed(reply)
        return reply.content if format in ("png", "parquet", "bundle") else reply.text

    def export(self, sweep: str, target: BinaryIO) -> str:
        """Writes a sweep's bundle to a file that is open, and returns its hash."""
        path, bundle = path_of("sweeps", sweep, "report"), {"format": "bundle"}
        with self._wire.stream(path, params=bundle, read_s=REPORT_S) as reply:
            target.writelines(reply.iter_bytes())
            return str(reply.headers["x-seedbed-bundle"])

    def weights(self, trial: int, target: BinaryIO) -> str:
        """Writes a trial's kept weights, safetensors, to a file that is open; returns its SHA-256.

        Raises:
            DamagedFileError: what came is not what was kept.
        """
        digest = hashlib.sha256()
        path = path_of("trials", str(trial), "weights")
        with self._wire.stream(path, read_s=REPORT_S) as reply:
            for piece in reply.iter_bytes():
                digest.update(piece)
                target.write(piece)
            expected = reply.headers["etag"].strip('"')
        if digest.hexdigest() != expected:
            raise DamagedFileError(
                f"weights of trial {trial} came with another checksum than they were kept with; "
                "use none of it, and see whether storage was changed by others"
            )
        return expected

    def curve(self, trial: int) -> Json:
        """A settled trial's evaluations: `steps`, and `metrics` with a value for each of them."""
        return self._wire.json("GET", path_of("trials", str(trial), "curve"))

    def audit(self, sweep: str) -> Json:
        """Whether a worker, device, pack, lane or hour tells if its trials succeeded."""
        return self._wire.json("GET", path_of("sweeps", sweep, "audit"))

    def compare(
        self,
        sweep: str,
        other: str,
        *,
        arm: str | None = None,
        against: str | None = None,
        metric: str | None = None,
        threshold: float | None = None,
    ) -> Json:
        """Two sweeps: an arm's pairs across them, and their primary contrasts' e-values multiplied.

        Each is there, or `not_possible` says why it is not.

        Args:
            sweep: the one that `arm` is of.
            other: the one that `against` is of.
            arm, against: need not be named of a sweep that has one arm.
            metric, threshold: only criteria that are so; otherwise all that both sweeps have.
        """
        asked = {"arm": arm, "against": against, "metric": metric, "threshold": threshold}
        params = {"with": other} | {k: v for k, v in asked.items() if v is not None}
        path = path_of("sweeps", sweep, "compare")
        return self._wire.json("GET", path, params=params, timeout=REPORT_S)

    def exclude(self, sweep: str, worker: str, reason: str) -> Json:
        """Has all that a worker did of a sweep done again by others; returns the trail's entry."""
        body = {"worker": worker, "reason": reason}
        return self._wire.json("POST", path_of("sweeps", sweep, "exclude"), json=body)

    def exclusions(self, sweep: str) -> list[Json]:
        """Workers that were excluded from a sweep, and what became of their trials."""
        found: list[Json] = self._wire.json("GET", path_of("sweeps", sweep, "exclusions"))["items"]
        return found

    def replay(self, trial: int) -> Json:
        """Asks for a trial to be run again, alone, and compared; returns the replay."""
        return self._wire.json("POST", path_of("trials", str(trial), "replay"), json={})

    def replay_sample(self, sweep: str, sample: float) -> Json:
        """Asks for replays of a share of a sweep's settled trials, at least one."""
        return self._wire.json("POST", path_of("sweeps", sweep, "replay"), json={"sample": sample})

    def replays(self, sweep: str) -> Iterator[Json]:
        """A sweep's replays, in the order in which they were asked for."""
        return self._pages(path_of("sweeps", sweep, "replays"), {})

    def experiments(self) -> list[Json]:
        """Every experiment with its hyper-parameters and metrics."""
        found: list[Json] = self._wire.json("GET", "/experiments")["items"]
        return found

    def experiment(self, name: str) -> Json:
        """One experiment."""
        return self._wire.json("GET", path_of("experiments", name))

    def presets(self) -> list[Json]:
        """Every sweep that is ready to be submitted."""
        found: list[Json] = self._wire.json("GET", "/presets")["items"]
        return found

    def preset(self, name: str) -> Json:
        """One preset: name, title, about, spec, and what of it is a paper's."""
        return self._wire.json("GET", path_of("presets", *name.split("/")))

    def keys(self) -> Iterator[Json]:
        """Every API key, without its secret; for admins."""
        return self._pages("/keys", {})

    def make_key(self, *, name: str, owner: str, scope: str, expires_at: str | None = None) -> Json:
        """Makes an API key; its `key` is in this reply and nowhere else. For admins.

        Args:
            name: what the key is for.
            owner: whose sweeps are made with it.
            scope: read, submit or admin.
            expires_at: a moment with its zone, ISO 8601.
        """
        body = {"name": name, "owner": owner, "scope": scope, "expires_at": expires_at}
        return self._wire.json(
            "POST", "/keys", json={k: v for k, v in body.items() if v is not None}
        )

    def activity(self, principal: str | None = None) -> Iterator[Json]:
        """Who did what, newest first; for admins.

        Args:
            principal: whose acts.
        """
        params: dict[str, Any] = {} if principal is None else {"principal": principal}
        while True:
            page = self._wire.json("GET", "/activity", params={**params, "limit": PAGE})
            yield from page["items"]
            if page["next"] is None:
                return
            params["before"] = page["next"]

    def revoke_key(self, key: str) -> Json:
        """Makes the key of this id open nothing any more. For admins."""
        return self._wire.json("DELETE", path_of("keys", key))

    def ready(self) -> bool:
        """Whether the service has a store, a dispatcher and workers."""
        reply = self._wire.exchange("GET", "/readyz")
        if reply.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
            raise refusal(reply)
        return reply.status_code == httpx.codes.OK

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Json]:
        after: dict[str, Any] = {}
        while True:
            page = self._wire.json("GET", path, params={**params, "limit": PAGE, **after})
            yield from page["items"]
            if page.get("next") is None:
                return
            after = {"after": page["next"]}
