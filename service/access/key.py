"""API keys: `sb_<id>_<secret>`; the id names the key in lists and logs, the secret is 192 bits.

A key can be drawn with Python alone, before anything is installed (`DRAW`).
"""

import re
import secrets
from datetime import datetime

_KEY = re.compile(r"sb_([0-9a-f]{16})_[0-9a-f]{48}")
#: of a key and of its owner: printable, without a space at either end
NAME = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?$"
#: stands for whoever asks, and is nobody's name
ME = "me"
DRAW = """python3 -c "import secrets as s; print(f'sb_{s.token_hex(8)}_{s.token_hex(24)}')\""""
SHAPE = "sb_ID_SECRET, with 16 and 48 hexadecimal digits"


def draw_key(now: datetime) -> tuple[str, str]:
    """A new key and its id; ids of keys that are drawn here sort by time."""
    made = f"{int(now.timestamp() * 1000):011x}{secrets.token_hex(3)[:5]}"
    return f"sb_{made}_{secrets.token_hex(24)}", made


def id_of(text: str) -> str | None:
    """The id in a key, or None of what is none."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def wrong(owner: str, expires_at: datetime | None, now: datetime) -> tuple[str, str] | None:
    """Why a key that is asked for would be of no use, and what to do; None of one that is."""
    if owner == ME:
        return f"owner {ME!r} is whoever asks, and no name", "give the owner's own name"
    if expires_at is not None and expires_at <= now:
        return (
            f"the key would have expired at {expires_at:%Y-%m-%d %H:%M %Z} and open nothing",
            "give a moment to come, or leave it out",
        )
    return None
