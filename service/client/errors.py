"""What a caller of the client can act on; each message says what, why and what to do.

Exception
├── ServiceError              the service said no (it has an HTTP status)
├── ServiceUnreachableError   nothing answers at the URL
│   └── ReplyLostError        it was reached, but its reply did not arrive
├── DamagedFileError          a download is not what was kept
└── SpecFileError             a spec file cannot be read
"""

from collections.abc import Mapping, Sequence
from typing import Any


class ServiceError(Exception):
    """The service refused a request.

    Attributes:
        status: HTTP status.
        title: what happened, in a few words.
        detail: with the value and the rule.
        cure: what to do.
        errors: one entry for each field of the body that breaks a rule: field, value, rule, cure.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        cure: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(status, title, detail, cure, errors)
        self.status = status
        self.title = title
        self.detail = detail
        self.cure = cure
        self.errors = tuple(errors)

    def __str__(self) -> str:
        lines = [f"{self.title} ({self.status})"]
        if self.detail and self.detail != self.title:
            lines.append(self.detail)
        for error in self.errors:
            place, value = error.get("field", "body"), error.get("value")
            given = "" if value is None else f" = {value}"
            cure = f"; {error['cure']}" if error.get("cure") else ""
            lines.append(f"  {place}{given}: {error.get('rule', 'is refused')}{cure}")
        if self.cure:
            lines.append(f"What to do: {self.cure}")
        return "\n".join(lines)


class ServiceUnreachableError(Exception):
    """Nothing answers at the URL."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"no Seedbed service answers at {self.url} ({self.reason})\n"
            "This command speaks to a running service.\n"
            "What to do: start one with `seedbed serve`, or name another with --url or SEEDBED_URL"
        )


class ReplyLostError(ServiceUnreachableError):
    """The request was sent and its reply did not arrive: what it asked for may have been done."""

    def __str__(self) -> str:
        return (
            f"the reply of {self.url} did not arrive ({self.reason})\n"
            "What was asked for may have been done all the same.\n"
            "What to do: look with `seedbed list` before asking again"
        )


class DamagedFileError(Exception):
    """A file that was downloaded has another checksum than the one that was kept."""


class SpecFileError(Exception):
    """A spec file cannot be read; `line` counts from 1."""

    def __init__(self, source: str, line: int | None, rule: str, cure: str) -> None:
        super().__init__(source, line, rule, cure)
        self.source = source
        self.line = line
        self.rule = rule
        self.cure = cure

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}, line {self.line}"
        return f"{where}: {self.rule}\nNothing was sent.\nWhat to do: {self.cure}"
