"""The service's own options, read from SEEDBED_* variables in this one place, then frozen."""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.access.principal import Scope
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


#: most workers of a cluster unless more or fewer are asked for
CLUSTER_WORKERS = 16


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
    ray_address: Annotated[
        str | None,
        Field(
            pattern=r"^[^\s/]+:[0-9]+$",
            description="host:port of a Ray cluster's head; a Ray on this machine unless given",
        ),
    ] = None
    ray_node: Annotated[
        str,
        Field(description="more words for `ray start` of the dispatcher's own node, such as ports"),
    ] = ""
    workers: Annotated[
        int, Field(ge=1, le=1024, description="most Ray workers; one a core, or one a GPU")
    ] = Field(
        default_factory=lambda data: (
            CLUSTER_WORKERS if data.get("ray_address") else os.cpu_count() or 1
        )
    )
    least_workers: Annotated[
        int | None,
        Field(ge=0, le=1024, description="workers that stay while nothing waits for them"),
    ] = None
    idle_s: Annotated[
        float,
        Field(
            ge=1,
            allow_inf_nan=False,
            description="a worker that has had nothing to do for so long is let go, down to the "
            "least",
        ),
    ] = 120.0
    drain_s: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            allow_inf_nan=False,
            description="a dispatcher that is told to stop waits so long for segments to end",
        ),
    ] = 20.0
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
    workers_per_gpu: Annotated[
        int, Field(ge=1, le=64, description="workers that share a GPU, each with a part of it")
    ] = 1
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
    oidc_issuer: Annotated[
        str, Field(description="an OIDC issuer whose bearer tokens are taken besides API keys")
    ] = ""
    oidc_audience: Annotated[
        str, Field(description="what tokens must be meant for; needed with an issuer")
    ] = ""
    oidc_scopes_claim: Annotated[
        str, Field(min_length=1, description="the claim that says what a caller may do")
    ] = "scope"
    oidc_scopes: Annotated[
        str, Field(description="values of that claim, by comma, each with the scope it stands for")
    ] = "seedbed:read=read,seedbed:submit=submit,seedbed:admin=admin"
    oidc_name_claim: Annotated[
        str, Field(min_length=1, description="the claim that is the caller's name")
    ] = "sub"
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
    requests: Annotated[
        int, Field(ge=1, le=100_000, description="requests that one process has at once, in line")
    ] = 1000
    rate_limit: Annotated[
        int, Field(ge=0, le=10_000_000, description="requests a minute of one key; 0 for no limit")
    ] = 6000
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
        self._size_workers()
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

    def _size_workers(self) -> None:
        if self.ray_node and self.ray_address is None:
            raise ValueError(
                "SEEDBED_RAY_NODE is set without SEEDBED_RAY_ADDRESS; it is for the node by which "
                "a dispatcher joins a cluster; unset it, or name the cluster's head"
            )
        if self.least_workers is not None and self.least_workers > self.workers:
            raise ValueError(
                f"SEEDBED_LEAST_WORKERS is {self.least_workers}, more than SEEDBED_WORKERS, "
                f"{self.workers}; the least stay while nothing waits; lower it, or raise the other"
            )

    def _place_storage(self) -> None:
        url = self.storage_url or str(self.state_folder.absolute() / "storage")
        if url.startswith("memory:"):
            raise ValueError(
                "SEEDBED_STORAGE_URL is in memory, and every process has its own: what a worker "
                "writes no other could read; name a folder, or an object store"
            )
        object.__setattr__(self, "storage_url", checked_url(url))

    @model_validator(mode="after")
    def _check_issuer(self) -> Self:
        if not self.oidc_issuer:
            if self.oidc_audience:
                raise ValueError(
                    "SEEDBED_OIDC_AUDIENCE is set without SEEDBED_OIDC_ISSUER, and no token would "
                    "be taken; set both, or neither"
                )
            return self
        issuer = urlsplit(self.oidc_issuer)
        if issuer.scheme != "https" and not (
            issuer.scheme == "http" and issuer.hostname in LOOPBACK
        ):
            raise ValueError(
                f"SEEDBED_OIDC_ISSUER is of scheme {issuer.scheme!r}; whoever stood between could "
                "give other keys than the issuer's; use its https:// address"
            )
        if not self.oidc_audience or self.auth != "keys":
            raise ValueError(
                "SEEDBED_OIDC_ISSUER needs SEEDBED_OIDC_AUDIENCE, since a token for another "
                "service must open nothing here, and SEEDBED_AUTH=keys, without which nobody is "
                "asked; set both"
            )
        _ = self.scopes_of_claims
        return self

    @property
    def scopes_of_claims(self) -> dict[str, Scope]:
        """What values of the scopes claim stand for.

        Raises:
            ValueError: one of them is no value=scope.
        """
        found = {}
        for part in self.oidc_scopes.split(","):
            value, _, scope = part.strip().rpartition("=")
            if not value or scope not in tuple(Scope):
                raise ValueError(
                    f"SEEDBED_OIDC_SCOPES holds {part!r}; it is written value=scope, with commas "
                    "between and scopes read, submit or admin; write ml-team=submit, say"
                )
            found[value] = Scope(scope)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the service answers to besides loopback's: allowed ones, and its own."""
        given = (name.strip().lower() for name in self.allowed_hosts.split(","))
        own = () if self.host in (*LOOPBACK, *WILDCARDS) else (self.host.lower(),)
        return (*(name for name in given if name), *own)

    @property
    def least(self) -> int:
        """How many workers stay while nothing waits: all of this machine's, none of a cluster's."""
        if self.least_workers is not None:
            return self.least_workers
        return self.workers if self.ray_address is None else 0

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
