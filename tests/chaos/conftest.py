"""Stores for these tests, as the service's tests have them."""

from tests.service.conftest import bare, engine

__all__ = ["bare", "engine"]
