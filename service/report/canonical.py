"""Canonical JSON and its hash: equal content gives equal bytes."""

import hashlib
import json
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
