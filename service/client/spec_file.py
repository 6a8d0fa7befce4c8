"""Reads a spec from YAML or JSON into JSON values; what could mislead is refused with its line.

YAML is read by the rules of YAML 1.2's core: `1e-3` is a number and `no` is a word. Anchors,
aliases, tags and repeated keys are refused. A root of 32 digits stays a word.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from service.client.errors import SpecFileError

MOST_BYTES = 1 << 20
MOST_DEPTH = 16
STDIN = "-"


def read_spec(path: str | Path) -> dict[str, Any]:
    """The spec in a file, or on standard input for `-`.

    Raises:
        SpecFileError: it is missing, too large, or not a plain mapping of JSON values.
    """
    source = "standard input" if str(path) == STDIN else str(path)
    text = _decode(_bytes(path, source), source)
    if str(path).endswith(".json") or text.lstrip().startswith("{"):
        found = _json(text, source)
    else:
        found = _yaml(text, source)
    if not isinstance(found, dict):
        kind = "empty" if found is None else f"a {type(found).__name__}"
        raise SpecFileError(
            source, None, f"it is {kind}; a spec is a mapping", "write `key: value`"
        )
    return found


def value(text: str) -> Any:
    """One value as a spec in YAML has it: `1e-3` a number, `true` true, `no` a word.

    Raises:
        SpecFileError: it is no plain value.
    """
    return _yaml(text, repr(text))


def _bytes(path: str | Path, source: str) -> bytes:
    try:
        if str(path) == STDIN:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except OSError as error:
        cure = "name a file that can be read, or - for standard input"
        raise SpecFileError(source, None, f"it cannot be read: {error.strerror}", cure) from error
    if len(content) > MOST_BYTES:
        rule = f"it is larger than {MOST_BYTES:,} bytes, the most that the service takes"
        raise SpecFileError(source, None, rule, "split it into several sweeps")
    return content


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecFileError(source, line, "it is not UTF-8", "save it as UTF-8") from error


def _json(text: str, source: str) -> Any:
    def refuse(rule: str, cure: str) -> SpecFileError:
        return SpecFileError(source, None, rule, cure)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise refuse(f"key {key!r} is there twice in one object", "drop one of them")
            found[key] = value
        return found

    def constant(name: str) -> Any:
        raise refuse(f"{name} is no JSON number", "give a finite number")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except json.JSONDecodeError as error:
        rule = f"it is not JSON: {error.msg} (column {error.colno})"
        raise SpecFileError(source, error.lineno, rule, "mend it there") from error
    except RecursionError as error:
        raise refuse("it is nested too deeply", f"use at most {MOST_DEPTH} levels") from error


def _yaml(text: str, source: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    except _RefusedError as error:
        raise SpecFileError(source, error.line, error.rule, error.cure) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        rule = f"it is not YAML: {error.problem or error.context}"
        raise SpecFileError(source, line, rule, "mend it there") from error
    except yaml.YAMLError as error:
        rule = f"it is not YAML: {str(error).splitlines()[0]}"
        raise SpecFileError(source, None, rule, "mend it there") from error
    finally:
        loader.dispose()


class _RefusedError(Exception):
    def __init__(self, mark: yaml.Mark, rule: str, cure: str) -> None:
        super().__init__(rule)
        self.line, self.rule, self.cure = mark.line + 1, rule, cure


class _Loader(yaml.SafeLoader):
    """The safe loader without what a spec does not need."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuses before anything is built."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            rule = "anchors and aliases (& and *) are refused: a spec says each thing in its place"
            raise _RefusedError(event.start_mark, rule, "write the value out")
        if getattr(event, "tag", None) is not None:
            rule = f"tags are refused, here {event.tag!r}: a spec holds plain JSON values"
            raise _RefusedError(event.start_mark, rule, "remove the tag")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            rule = f"it is nested more than {MOST_DEPTH} levels deep"
            raise _RefusedError(event.start_mark, rule, "use fewer levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses keys that are repeated or are no words."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                rule = f"key {getattr(key, 'value', '?')!r} is not a word"
                raise _RefusedError(key.start_mark, rule, "put it in quotes")
            if key.value in seen:
                rule = f"key {key.value!r} is there twice in one mapping"
                raise _RefusedError(key.start_mark, rule, "drop one of them")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Decimal always: YAML 1.1 would read 010 as 8."""
        return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,18})", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?",
        list("-+0123456789."),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^{_pattern}$"), _first)
