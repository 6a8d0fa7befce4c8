"""What is wrong with a spec: where, the value, the rule, and what to do."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """One rule that a spec breaks."""

    field: str
    value: str
    rule: str
    cure: str


class SpecError(Exception):
    """A spec breaks rules; nothing was stored."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.rule} ({p.cure})" for p in self.problems))


def shown(value: object) -> str:
    """A value as it appears in a message, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def near(name: object, known: Iterable[str]) -> str:
    """A cure for an unknown name: the closest known one, or all of them."""
    names = sorted(known)
    found = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {found[0]!r}?" if found else f"known are {', '.join(names)}"


#: pydantic's error types, and what to do about them
_CURES = {
    "missing": "add it",
    "extra_forbidden": "remove it",
    "finite_number": "give a finite number",
}


def from_pydantic(
    error: ValidationError, prefix: str, known: Mapping[str, Any] | None = None
) -> list[Problem]:
    """Pydantic's findings as problems below a field."""
    problems = []
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"])
        field = ".".join(p for p in (prefix, path) if p)
        rule = item["msg"].removeprefix("Value error, ")
        cure = _CURES.get(item["type"], "give a value that the rule allows")
        if item["type"] == "extra_forbidden":
            rule = "there is no such key"
            cure = near(item["loc"][-1], known or {})
        rule, _, own_cure = rule.partition("; ")
        problems.append(Problem(field or "body", shown(item["input"]), rule, own_cure or cure))
    return problems
