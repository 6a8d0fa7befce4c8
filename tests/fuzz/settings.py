"""What schemathesis is told: every check on every operation, and each exception with its reason."""

from collections.abc import Mapping
from typing import Any

from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import UnsupportedMethodResponse

#: operations whose rules cross fields or ask the catalogue or the store, which JSON Schema cannot
#: say: what fits the schema may be refused, with 422 or for want of disk with 507; other statuses
#: that are not documented, and every other operation's 422, stay failures
CROSSED = {
    "POST /api/v1/keys": "expires_at is to come, and nobody's name is me",
    "POST /api/v1/sweeps": "names, metrics and hyper-parameters are of the experiment",
    "PATCH /api/v1/sweeps/{sweep}": "metrics are of the sweep's experiment",
    "POST /api/v1/sweeps/{sweep}/extend": "seeds, arms and settings are of the sweep",
    "GET /api/v1/sweeps/{sweep}/trials": "success and criterion are given together",
    "GET /api/v1/sweeps/{sweep}/report": "a figure goes with a picture only",
    "GET /api/v1/sweeps/{sweep}/compare": "arms, metric and threshold are of both sweeps",
}
_ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "507"]
PHASES = ("examples", "coverage", "fuzzing", "stateful")


def excused(failure: Failure, response: Response) -> bool:
    """Whether a check is wrong here."""
    # what is no JSON is refused before any route is looked for (a form of another site's page can
    # send no such type), so a POST to a route without POST gets 415 first, and does nothing
    return isinstance(failure, UnsupportedMethodResponse) and response.status_code == 415


def settings(
    url: str,
    seed: int,
    *,
    max_time_s: int | None,
    examples: int,
    headers: Mapping[str, str] | None = None,
) -> SchemathesisConfig:
    """The configuration of one run.

    Args:
        url: of the service.
        seed: of what is generated.
        max_time_s: it goes on so long, cycle after cycle; None for one cycle.
        examples: most of an operation in a cycle.
        headers: sent with every request, but where a check leaves the key out.
    """
    accepted = {"positive_data_acceptance": {"expected-statuses": _ACCEPTED}}
    content: dict[str, Any] = {
        "seed": seed,
        "base-url": url,
        "continue-on-failure": True,
        "request-timeout": 60,
        "max-stream-events": 2,  # what is so comes at once, what is new when there is news
        "generation": {"max-examples": examples, "database": "none", "no-shrink": True},
        "phases": {name: {"enabled": True} for name in PHASES},
        "operations": [{"include-name": name, "checks": accepted} for name in CROSSED],
    }
    if headers:
        content["headers"] = dict(headers)
    if max_time_s is not None:
        content["max-time"] = max_time_s
    return SchemathesisConfig.from_dict(content)
