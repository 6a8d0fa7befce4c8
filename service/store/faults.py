"""Errors of a store that pass by themselves: it is away for a while, or its disk is full."""

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError  # noqa: A004 - SQLAlchemy's name

_PRIMARY = 0xFF


def unreachable(error: Exception) -> bool:
    """Whether the store was locked, cut off, restarting, full or out of connections."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | TimeoutError)


def full(error: Exception) -> bool:
    """Whether there was no room on the store's disk; nothing was written, and nothing is lost."""
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None) or 0
        return code & _PRIMARY == sqlite3.SQLITE_FULL
    return isinstance(cause, psycopg.errors.DiskFull)
