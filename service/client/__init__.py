"""The public Python client: `with Client(url) as client: client.submit(spec)`."""

from service.client.errors import (
    DamagedFileError,
    ReplyLostError,
    ServiceError,
    ServiceUnreachableError,
    SpecFileError,
)
from service.client.events import Event
from service.client.http import DEFAULT_URL, Client
from service.client.spec_file import read_spec

__all__ = [
    "DEFAULT_URL",
    "Client",
    "DamagedFileError",
    "Event",
    "ReplyLostError",
    "ServiceError",
    "ServiceUnreachableError",
    "SpecFileError",
    "read_spec",
]
