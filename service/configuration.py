"""The service's own options, read from SEEDBED_* variables in this one place, then frozen."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEVICES = ("cpu", "cuda")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
IN_MEMORY = ("sqlite:///", "sqlite:///:memory:")
PREFIX = "SEEDBED_"
#: variables that the client reads, not the service
OTHERS = frozenset({"SEEDBED_URL", "SEEDBED_MNIST"})


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
    host: Annotated[str, Field(description="address to bind; loopback only until keys exist")] = (
        "127.0.0.1"
    )
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
    redis_url: Annotated[str | None, Field(description="not built yet: refused when set")] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse_unknown(os.environ)
        if self.host not in LOOPBACK:
            raise ValueError(
                f"host {self.host!r} would let others in; until API keys exist the service binds "
                f"loopback only ({', '.join(LOOPBACK)}); unset SEEDBED_HOST, and reach it from "
                "elsewhere through an SSH tunnel"
            )
        if self.device not in DEVICES:
            raise ValueError(
                f"device {self.device!r} is unknown; trials train on {' or '.join(DEVICES)}; use "
                "cpu, or cuda for every GPU that CUDA_VISIBLE_DEVICES leaves visible"
            )
        if self.redis_url is not None:
            raise ValueError(
                "SEEDBED_REDIS_URL is set, but the Redis bus is not built yet; unset it: one "
                "service needs no Redis"
            )
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
