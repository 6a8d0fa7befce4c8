"""Canonical JSON and its hash: equal content gives equal bytes."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def canonical(content: Any) -> bytes:
    """Sorted keys, no spaces, no NaN; floats in their shortest exact form."""
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    return text.encode()


def digest(content: Any) -> str:
    """SHA-256 (hex) of canonical JSON."""
    return hashlib.sha256(canonical(content)).hexdigest()


def digest_lines(lines: Iterable[Any]) -> str:
    """SHA-256 (hex) over canonical JSON lines, streamed."""
    total = hashlib.sha256()
    for line in lines:
        total.update(canonical(line) + b"\n")
    return total.hexdigest()
