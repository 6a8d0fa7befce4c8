"""Behind a TLS proxy: who the client is and whether it came by https, as trusted proxies say.

Of nobody else are X-Forwarded-For and X-Forwarded-Proto believed, since any client can send them;
X-Forwarded-Host and Forwarded are read of nobody: a proxy hands the Host header on as it came.
"""

import ipaddress
from collections.abc import Sequence

from service.api.refusal import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, with commas between.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def believe(scope: Scope, headers: dict[str, str], trusted: Sequence[Network]) -> None:
    """Puts the client's own address and scheme into the scope, if a trusted proxy sent it."""
    peer = scope.get("client")
    if not trusted or not peer or not _among(peer[0], trusted):
        return
    proto = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    if proto in ("http", "https"):
        scope["scheme"] = proto
    for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
        address = hop.strip()
        if not _is_address(address):
            break
        scope["client"] = (address, 0)
        if not _among(address, trusted):
            break


def _among(address: str, trusted: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in network for network in trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
