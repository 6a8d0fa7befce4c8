"""Writes .env for docker compose: secrets drawn here, mode 0600; what stands in it stays as it is.

Run by `make up`, with nothing but Python: python3 deploy/make_env.py [FILE]
"""

import os
import secrets
import sys
from pathlib import Path

HEAD = (
    "# Secrets of this installation, drawn by make up; docs/deployment.md says how to change one.\n"
)


def draw_key() -> str:
    """An API key, in the form that `seedbed keys bootstrap` takes."""
    return f"sb_{secrets.token_hex(8)}_{secrets.token_hex(24)}"


#: every secret that docker-compose.yml asks for, and how one is drawn; none has a default
DRAWN = {
    "POSTGRES_PASSWORD": lambda: secrets.token_urlsafe(24),
    "REDIS_PASSWORD": lambda: secrets.token_urlsafe(24),
    "RAY_AUTH_TOKEN": lambda: secrets.token_hex(32),
    "SEEDBED_KEY": draw_key,
    "GRAFANA_PASSWORD": lambda: secrets.token_urlsafe(18),
}


def given(text: str) -> set[str]:
    """The names that a .env gives a value."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.removeprefix("export ").strip() for name, value in pairs if value.strip()}


def complete(text: str) -> str:
    """A .env with every secret: the text as it was, then what it lacked."""
    lacking = [name for name in DRAWN if name not in given(text)]
    lines = [f"{name}={DRAWN[name]()}\n" for name in lacking]
    start = text if text.endswith("\n") or not text else text + "\n"
    return (start or HEAD) + "".join(lines)


def write(file: Path) -> bool:
    """Makes the file, or completes it; whether anything was drawn. It is for its owner only."""
    before = file.read_text() if file.exists() else ""
    after = complete(before)
    if after != before:
        fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as sink:
            sink.write(after)
        fresh.replace(file)  # whole or not at all: a lost POSTGRES_PASSWORD locks the store
    file.chmod(0o600)
    return after != before


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    if write(target):
        sys.stderr.write(f"{target}: secrets drawn, for its owner only\n")
