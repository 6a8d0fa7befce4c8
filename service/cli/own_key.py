"""The API key of a service of one's own: that of SEEDBED_KEY, or the one that `make up` drew."""

import ipaddress
import os
from pathlib import Path

import httpx

NAME = "SEEDBED_KEY"
FILE = Path(".env")


def own_key(url: str, file: Path = FILE) -> str | None:
    """The key in `file`, for a service on this machine where the environment names none.

    It is sent nowhere else: a key that was drawn for this machine is no other service's business.
    """
    if os.environ.get(NAME) or not file.is_file() or not _loopback(url):
        return None
    found = None
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name.removeprefix("export ").strip() == NAME:
            found = value.strip().strip("\"'") or found
    return found


def _loopback(url: str) -> bool:
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False
