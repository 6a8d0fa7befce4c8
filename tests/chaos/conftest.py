"""Stores for these tests, as the service's tests have them."""

from tests.service.conftest import engine

__all__ = ["engine"]
