"""Which process may use a store: a SQLite file is one's own, a PostgreSQL is everybody's."""

import contextlib

from service.api.crowd import CONNECTIONS
from service.api.streams import READERS
from service.configuration import Configuration
from service.folder import store_file
from service.store.errors import StoreNotSharedError
from service.store.ownership import own

#: for all requests that are worked on at once, and the streams' readers
API_CONNECTIONS = CONNECTIONS + READERS


def ownership(database_url: str) -> contextlib.AbstractContextManager[object]:
    """Holds the lock of a SQLite file; for PostgreSQL the dispatcher's lease is enough."""
    file = store_file(database_url)
    return contextlib.nullcontext() if file is None else own(file)


def require_shared(configuration: Configuration, process: str) -> None:
    """A process that is one of several needs a store that several may use.

    Raises:
        StoreNotSharedError: it is a SQLite file.
    """
    if store_file(configuration.database_url) is not None:
        raise StoreNotSharedError(process)
