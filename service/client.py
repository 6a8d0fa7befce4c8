"""The public Python client: one method a route, and errors that say what to do."""

import secrets
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx

DEFAULT_URL = "http://127.0.0.1:8321"


class ServiceError(Exception):
    """The service said no.

    Attributes:
        status: HTTP status.
        cure: what to do.
        errors: for a spec, each broken rule with field, value, rule and cure.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.title = str(body.get("title", "Error"))
        self.detail = str(body.get("detail", ""))
        self.cure = str(body.get("cure", ""))
        self.errors: list[dict[str, str]] = body.get("errors", [])
        super().__init__(self.detail)

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.detail}"]
        lines += [f"  {e['field']} = {e['value']}: {e['rule']}; {e['cure']}" for e in self.errors]
        return "\n".join([*lines, f"What to do: {self.cure}"])


class ServiceUnreachableError(Exception):
    """Nobody answers at the URL."""

    def __init__(self, url: str, why: Exception) -> None:
        super().__init__(
            f"no Seedbed answers at {url} ({type(why).__name__}); the client needs a running "
            "service; start one with `seedbed serve`, or name another with --url or SEEDBED_URL"
        )


class Client:
    """Speaks to a service.

    Args:
        url: where it listens.
        timeout_s: for one request.
        transport: for tests.

    Raises (every method):
        ServiceError: the service refused.
        ServiceUnreachableError: it did not answer.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, timeout=timeout_s, transport=transport, trust_env=False
        )

    def __enter__(self) -> Self:
        """For `with`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise ServiceUnreachableError(self.url, error) from error
        if reply.is_error:
            try:
                body = reply.json()
            except ValueError:
                body = {"title": f"HTTP {reply.status_code}", "detail": reply.text[:500]}
            raise ServiceError(reply.status_code, body)
        return reply

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._call(method, f"/api/v1{path}", **options).json()

    def submit(
        self,
        spec: dict[str, Any],
        *,
        idempotency_key: str | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Creates a sweep, or says what it would run.

        A key is drawn unless given, so that a repetition after a lost reply makes no second sweep.
        """
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        params = {"dry_run": "true"} if dry_run else {}
        found: dict[str, Any] = self._json(
            "POST", "/sweeps", json=spec, headers=headers, params=params
        )
        return found

    def sweeps(self) -> Iterator[dict[str, Any]]:
        """All sweeps, newest first."""
        yield from self._pages("/sweeps", {})

    def _pages(self, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        following: Any = None
        while True:
            extra = {} if following is None else {"after": following}
            page = self._json("GET", path, params={**params, **extra})
            yield from page["items"]
            following = page["next"]
            if following is None:
                return

    def sweep(self, sweep: str) -> dict[str, Any]:
        """One sweep with spec, state and counters."""
        found: dict[str, Any] = self._json("GET", f"/sweeps/{sweep}")
        return found

    def progress(self, sweep: str) -> dict[str, Any]:
        """Its counters."""
        found: dict[str, Any] = self._json("GET", f"/sweeps/{sweep}/progress")
        return found

    def pause(self, sweep: str) -> dict[str, Any]:
        """Stops claims."""
        found: dict[str, Any] = self._json("POST", f"/sweeps/{sweep}/pause")
        return found

    def resume(self, sweep: str, accept_class: str | None = None) -> dict[str, Any]:
        """Goes on."""
        body = {"accept_class": accept_class}
        found: dict[str, Any] = self._json("POST", f"/sweeps/{sweep}/resume", json=body)
        return found

    def cancel(self, sweep: str) -> dict[str, Any]:
        """Cancels it."""
        found: dict[str, Any] = self._json("POST", f"/sweeps/{sweep}/cancel")
        return found

    def delete(self, sweep: str) -> None:
        """Deletes an ended sweep."""
        self._call("DELETE", f"/api/v1/sweeps/{sweep}")

    def trials(self, sweep: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """Its trials; filters are arm, cell, end_state, success with criterion."""
        yield from self._pages(f"/sweeps/{sweep}/trials", {"limit": 1000, **filters})

    def trial(self, trial: int) -> dict[str, Any]:
        """One trial with error and traceback."""
        found: dict[str, Any] = self._json("GET", f"/trials/{trial}")
        return found

    def report(self, sweep: str, format: str = "json") -> Any:  # noqa: A002 - the agreed name
        """The report: a dictionary for json, text for markdown and csv."""
        path = f"/api/v1/sweeps/{sweep}/report"
        reply = self._call("GET", path, params={"format": format})
        return reply.json() if format == "json" else reply.text

    def experiments(self) -> list[dict[str, Any]]:
        """What can be trained."""
        found: list[dict[str, Any]] = self._json("GET", "/experiments")["items"]
        return found

    def presets(self) -> list[dict[str, Any]]:
        """Ready sweeps."""
        found: list[dict[str, Any]] = self._json("GET", "/presets")["items"]
        return found

    def preset(self, name: str) -> dict[str, Any]:
        """One ready sweep."""
        found: dict[str, Any] = self._json("GET", f"/presets/{name}")
        return found

    def ready(self) -> bool:
        """Whether sweeps make progress."""
        try:
            self._call("GET", "/readyz")
        except ServiceError as error:
            if error.status == httpx.codes.SERVICE_UNAVAILABLE:
                return False
            raise
        return True
