"""Reads a spec from YAML or JSON, with nothing in it that a reader would not expect."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1 << 20


class SpecFileError(Exception):
    """The file is not a spec."""


class _Loader(yaml.SafeLoader):
    """Safe, without aliases, and with each key once."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses aliases: a small file could stand for a huge one."""
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise SpecFileError(
                f"line {event.start_mark.line + 1} uses the alias *{event.anchor}; aliases are "
                "refused, since a small file could stand for a huge one; write the value out"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuses a key that is given twice."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise SpecFileError(
                    f"line {key_node.start_mark.line + 1} gives the key {key!r} again; a key "
                    "stands once; drop one of them"
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_spec(path: str) -> dict[str, Any]:
    """A spec from a .yaml, .yml or .json file, or YAML from standard input for "-".

    Raises:
        SpecFileError: the file cannot be read, is too large, or is not a mapping.
    """
    text = _text(path)
    try:
        # YAML holds JSON, but reads 1e-4 as text; a .json file means numbers
        body = json.loads(text) if path.endswith(".json") else yaml.load(text, _Loader)  # noqa: S506 - safe
    except (ValueError, yaml.YAMLError) as error:
        raise SpecFileError(f"{path} is not well formed: {error}; mend it there") from error
    if not isinstance(body, dict):
        raise SpecFileError(
            f"{path} holds a {type(body).__name__}; a spec is a mapping; see `seedbed presets`"
        )
    return body


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read(MOST_BYTES)
    file = Path(path)
    try:
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise SpecFileError(
                f"{path} has {size:,} bytes; a spec has at most {MOST_BYTES:,}; "
                "write grids as lists"
            )
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecFileError(f"{path} cannot be read ({error}); name a readable file") from error
