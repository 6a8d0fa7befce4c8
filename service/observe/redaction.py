"""Takes secrets out of what is written: by what they look like, and by what they are.

Keys, bearer tokens, cookies and passwords in URLs are known by their look, wherever they stand: in
a field, a message or a traceback. The values of this process's own secret variables are known.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

HIDDEN = "***"
#: variables whose values are secrets, by name, and those that hold URLs with passwords
_SECRET_NAME = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|PRIVATE|_KEY)([_A-Z0-9]*)$")
_URL_NAME = re.compile(r"_URL$|_URI$|_DSN$")
#: a shorter value would be found in words that are no secret
_SHORTEST = 8

_LOOKS = (
    # an API key keeps its id, which is public
    (re.compile(r"\b(sb_[0-9a-f]{16})_[0-9a-f]+"), rf"\1_{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[^\s\"',;]{8,}"), rf"\1\2{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"(seedbed_session=)[^\s;\"']+"), rf"\1{HIDDEN}"),
    (re.compile(r"(\w://[^\s/:@\"']*:)[^\s\"']+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|pwd|secret|secret_key|access_key|auth_token|api_key))"
            r"(\\?[\"']?\s*[=:]\s*\\?[\"']?)[^\s\"'&,;)}\\]+"
        ),
        rf"\1\2{HIDDEN}",
    ),
)
_PASSWORD = re.compile(r"\w://[^\s/:@]*:([^\s]+)@")


def redact(text: str, known: Iterable[str] = ()) -> str:
    """The text without what looks like a secret, or is one of those that are known."""
    for secret in known:
        text = text.replace(secret, HIDDEN)
    for look, instead in _LOOKS:
        text = look.sub(instead, text)
    return text


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that variables hold, longest first, as they stand and as JSON writes them."""
    found = set()
    for name, value in environment.items():
        if _SECRET_NAME.search(name.upper()):
            found.add(value.strip())
        elif _URL_NAME.search(name.upper()):
            found |= {match[1] for match in _PASSWORD.finditer(value)}
    found |= {json.dumps(value)[1:-1] for value in found}
    return tuple(sorted((s for s in found if len(s) >= _SHORTEST), key=len, reverse=True))


class Redaction:
    """The last step of a line of the log; the process's own secrets are read when it is made."""

    def __init__(self) -> None:
        self._known = secrets_of(os.environ)

    def __call__(
        self, _logger: Any, _method: str, line: str | bytes | MutableMapping[str, Any]
    ) -> str:
        """The line without secrets."""
        return redact(str(line), self._known)

    def text(self, text: str) -> str:
        """Any text without secrets."""
        return redact(text, self._known)
