"""What is wrong with a spec: where, the value, the rule, and what to do."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """One rule that a spec breaks.

    All four are sent as UTF-8: lone surrogates in what was asked for become escapes.
    """

    field: str
    value: str
    rule: str
    cure: str

    def __post_init__(self) -> None:
        for name, text in vars(self).items():
            object.__setattr__(self, name, text.encode("utf-8", "backslashreplace").decode())


class SpecError(Exception):
    """A spec breaks rules; nothing was stored."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.rule} ({p.cure})" for p in self.problems))


def shown(value: object) -> str:
    """A value as it appears in a message, shortened."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def near(name: object, known: Iterable[str]) -> str:
    """A cure for an unknown name: the closest known one, or all of them; without any, none."""
    names = sorted(known)
    if not names:
        return "leave it out"
    found = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {found[0]!r}?" if found else f"known are {', '.join(names)}"


#: pydantic's error types in JSON's words: the rule, and what to do
_TYPES = {
    "json_invalid": ("the body must be JSON", "mend it at this character"),
    "missing": ("it is required", "add it"),
    "extra_forbidden": ("there is no such key", "remove it"),
    "dict_type": ("it must be an object", "write it as {key: value, ...}"),
    "model_type": ("it must be an object", "write it as {key: value, ...}"),
    "list_type": ("it must be a list", "write it in [ ]"),
    "int_type": ("it must be a whole number", "write it in digits, without quotes or a fraction"),
    "int_from_float": ("it must be a whole number", "write it without a fraction"),
    "int_parsing": ("it must be a whole number", "write it in digits"),
    "bool_parsing": ("it must be true or false", "write true or false"),
    "float_type": ("it must be a number", "write it in digits, without quotes"),
    "string_type": ("it must be a text", "write it in quotes"),
    "string_unicode": ("it must be a text of whole characters", "leave out lone surrogates"),
    "string_pattern_mismatch": ("it must not hold control characters", "leave them out"),
    "finite_number": ("it must be a finite number", "give one that is neither NaN nor infinite"),
}
_BOUNDS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "min_length": "at least",
    "max_length": "at most",
}
_UNITS = {
    "too_short": " long",
    "too_long": " long",
    "string_too_short": " characters long",
    "string_too_long": " characters long",
}


def from_pydantic(
    error: ValidationError, prefix: str, model: type[BaseModel] | None = None
) -> list[Problem]:
    """Pydantic's findings as problems below a field; `model` is what was validated against."""
    return from_items(error.errors(include_url=False), prefix, model)


def from_items(
    items: Iterable[Any], prefix: str = "", model: type[BaseModel] | None = None
) -> list[Problem]:
    """The same of pydantic's list, which FastAPI hands on."""
    problems = []
    for item in items:
        path = ".".join(str(part) for part in item["loc"] if part != "[key]")
        field = ".".join(p for p in (prefix, path) if p)
        rule, cure = _rule_and_cure(item, model)
        problems.append(Problem(field or "body", shown(item.get("input")), rule, cure))
    return problems


def _rule_and_cure(item: Any, model: type[BaseModel] | None) -> tuple[str, str]:
    kind, context = item["type"], item.get("ctx", {})
    rule, cure = _TYPES.get(kind, (item["msg"], "mend it so that the rule holds"))
    if kind == "extra_forbidden":
        cure = near(item["loc"][-1], _keys(model, item["loc"][:-1]))
    elif kind == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"])
        rule, cure = f"it must be one of {', '.join(options)}", near(item["input"], options)
    elif kind == "string_pattern_mismatch" and "0-9a-f" in context["pattern"]:
        rule = "it must be 32 lower-case hex digits"
        cure = "give such digits, or leave it out"
    elif kind == "value_error":
        rule, _, own = item["msg"].removeprefix("Value error, ").partition("; ")
        cure = own or cure
    for name, words in _BOUNDS.items():
        if name in context:
            limit = f"{words} {context[name]}{_UNITS.get(kind, '')}"
            rule, cure = f"it must be {limit}", f"use {limit}"
    return rule, cure


def _keys(model: type[BaseModel] | None, path: Iterable[Any]) -> Iterable[str]:
    """The keys that the object at a path below a model may have."""
    for part in path:
        if model is None or part not in model.model_fields:
            return ()
        inner = model.model_fields[part].annotation
        options = (inner, *getattr(inner, "__args__", ()))
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
    return model.model_fields if model is not None else ()
