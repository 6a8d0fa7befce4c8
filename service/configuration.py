"""The service's own options, read from SEEDBED_* variables in this one place, then frozen."""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.bus.address import address_of
from workers.storage import checked_url

DEVICES = ("cpu", "cuda")
#: bind every address, and are nobody's name
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - named to be told apart
LOOPBACK = ("127.0.0.1", "localhost", "::1")
IN_MEMORY = ("sqlite:///", "sqlite:///:memory:")
PREFIX = "SEEDBED_"
#: variables that the client reads, not the service
OTHERS = frozenset({"SEEDBED_URL", "SEEDBED_KEY", "SEEDBED_BOOTSTRAP_KEY", "SEEDBED_MNIST"})
AUTHS = ("none", "keys")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:]+")


class Configuration(BaseSettings):
    """Every option, its default and its meaning.

    What an error quotes never holds a whole value: a database URL may carry a password.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    state_folder: Annotated[
        Path, Field(description="where SQLite lies; made for its owner only")
    ] = Path(".seedbed")
    database_url: Annotated[
        str,
        Field(description="SQLite in the state folder unless given; or postgresql+psycopg://..."),
    ] = ""
    host: Annotated[
        str, Field(description="address to bind; another than loopback needs SEEDBED_AUTH=keys")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port to bind; 0 takes a free one")] = (
        8321
    )
    device: Annotated[str, Field(description="where trials train: cpu, or cuda for GPUs")] = "cpu"
    workers: Annotated[
        int, Field(ge=1, le=1024, description="Ray workers; one a core, or one a GPU")
    ] = Field(default_factory=lambda: os.cpu_count() or 1)
    pack_lanes: Annotated[int, Field(ge=1, le=65536, description="most lanes of a pack")] = 64
    slice_s: Annotated[
        float,
        Field(
            gt=0,
            le=600,
            allow_inf_nan=False,
            description="a worker reports at the boundary after so long",
        ),
    ] = 1.0
    max_attempts: Annotated[
        int, Field(ge=1, le=20, description="a trial that raises so often is errored")
    ] = 3
    patience_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="a worker that says nothing for so long, and ten times its longest call, "
            "is taken for lost",
        ),
    ] = 600.0
    user_trials: Annotated[
        int, Field(ge=0, description="most trials of one owner that run at once; 0 for no limit")
    ] = 0
    auth: Annotated[
        str, Field(description="who is let in: none asks nobody, keys takes API keys only")
    ] = "none"
    allowed_hosts: Annotated[
        str,
        Field(description="names, by comma, that the service answers to besides loopback's"),
    ] = ""
    trusted_proxies: Annotated[
        str,
        Field(
            description="addresses or networks, by comma, of TLS proxies that are believed about "
            "who the client is"
        ),
    ] = ""
    activity_days: Annotated[
        int, Field(ge=1, le=36500, description="who did what is kept for so many days")
    ] = 400
    storage_url: Annotated[
        str,
        Field(description="where checkpoints and weights go: a folder, or a URL such as s3://..."),
    ] = ""
    checkpoint_s: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="a trial is checkpointed at most so often; 0: only when it is parked",
        ),
    ] = 300.0
    metrics_port: Annotated[
        int | None,
        Field(
            ge=0,
            le=65535,
            description="port of a dispatcher's own /metrics, on SEEDBED_HOST; none unless given",
        ),
    ] = None
    log_format: Annotated[
        Literal["console", "json"], Field(description="how events of the log are written")
    ] = "console"
    log_level: Annotated[
        Literal["debug", "info", "warning"],
        Field(description="from which events are written; debug tells of every request"),
    ] = "info"
    streams: Annotated[
        int, Field(ge=0, le=10_000, description="event streams that one process holds at once")
    ] = 200
    redis_url: Annotated[
        SecretStr | None,
        Field(description="Redis between several processes; none is needed by one"),
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse_unknown(os.environ)
        if self.device not in DEVICES:
            raise ValueError(
                f"device {self.device!r} is unknown; trials train on {' or '.join(DEVICES)}; use "
                "cpu, or cuda for every GPU that CUDA_VISIBLE_DEVICES leaves visible"
            )
        if self.redis_url is not None:
            address_of(self.redis_url.get_secret_value())
        self._place_storage()
        if not self.database_url:
            file = self.state_folder.absolute() / "seedbed.db"
            object.__setattr__(self, "database_url", f"sqlite:///{file}")
        elif not self.database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
            scheme = self.database_url.partition(":")[0]
            raise ValueError(
                f"SEEDBED_DATABASE_URL is of scheme {scheme!r}; the store runs on SQLite and "
                "PostgreSQL; use sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
            )
        elif self.database_url in IN_MEMORY or self.database_url.startswith("sqlite:///file:"):
            raise ValueError(
                f"SEEDBED_DATABASE_URL is {self.database_url!r}; the store is a file, which "
                "outlives the service; use sqlite:///PATH, or leave it out for one in the state "
                "folder"
            )
        return self

    @model_validator(mode="after")
    def _check_who_gets_in(self) -> Self:
        if self.auth not in AUTHS:
            raise ValueError(
                f"SEEDBED_AUTH is {self.auth!r}; the service asks nobody who they are (none), or "
                "everybody for an API key (keys); use one of the two"
            )
        if self.auth == "none" and self.host not in LOOPBACK:
            raise ValueError(
                f"host {self.host!r} would let others in, and nobody is asked who they are; "
                f"without keys the service binds loopback only ({', '.join(LOOPBACK)}); set "
                "SEEDBED_AUTH=keys and make a key with `seedbed keys create`, or unset "
                "SEEDBED_HOST and reach it from elsewhere through an SSH tunnel"
            )
        for name in self.names:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(
                    f"SEEDBED_ALLOWED_HOSTS names {name!r}; it holds host names without scheme, "
                    "port or wildcard, with commas between; write seedbed.example.org, say"
                )
        for part in filter(None, (p.strip() for p in self.trusted_proxies.split(","))):
            try:
                ipaddress.ip_network(part)
            except ValueError as error:
                raise ValueError(
                    f"SEEDBED_TRUSTED_PROXIES names {part!r} ({error}); it holds addresses and "
                    "networks with commas between; write 10.0.0.7, 10.1.0.0/16, say"
                ) from error
        return self

    def _place_storage(self) -> None:
        url = self.storage_url or str(self.state_folder.absolute() / "storage")
        if url.startswith("memory:"):
            raise ValueError(
                "SEEDBED_STORAGE_URL is in memory, and every process has its own: what a worker "
                "writes no other could read; name a folder, or an object store"
            )
        object.__setattr__(self, "storage_url", checked_url(url))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the service answers to besides loopback's: allowed ones, and its own."""
        given = (name.strip().lower() for name in self.allowed_hosts.split(","))
        own = () if self.host in (*LOOPBACK, *WILDCARDS) else (self.host.lower(),)
        return (*(name for name in given if name), *own)

    @property
    def asked_workers(self) -> int | None:
        """The number of workers if it was given, None if it is the default."""
        return self.workers if "workers" in self.model_fields_set else None


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """A misspelt variable would be ignored without a word.

    Raises:
        ValueError: naming the variable and the nearest option.
    """
    known = [PREFIX + name.upper() for name in Configuration.model_fields]
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in (*known, *OTHERS):
            found = difflib.get_close_matches(name.upper(), known, n=1)
            cure = f"did you mean {found[0]}?" if found else f"options are {', '.join(known)}"
            raise ValueError(f"the service has no option {name}, and would ignore it; {cure}")
