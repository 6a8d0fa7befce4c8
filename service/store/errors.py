"""What the store refuses; `status` is the HTTP status and `cure` what to do.

StoreError
├── UnknownSweepError, UnknownTrialError   404
├── UnknownKeyError                        404
├── StateConflictError                     409
├── NotReplayableError                     409
├── IdempotencyConflictError               409
├── StoreOwnedError                        503
├── StoreNotSharedError                    503
├── StoreAwayError                         503
├── SchemaError                            503
└── BackupError                            409
"""


class StoreError(Exception):
    """The store refuses; nothing was written.

    Args:
        message: what happened, with the value, and the rule.
        cure: what to do.
    """

    status = 500

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.args[0]}; {self.cure}"


class UnknownSweepError(StoreError):
    """No sweep has this id."""

    status = 404

    def __init__(self, sweep: str) -> None:
        super().__init__(
            f"there is no sweep {sweep!r}", "`seedbed list` shows those that there are"
        )


class UnknownTrialError(StoreError):
    """No trial has this id, or it was not claimed yet."""

    status = 404

    def __init__(self, trial: int) -> None:
        super().__init__(
            f"there is no trial {trial}; a trial exists once a worker has claimed it",
            "GET /api/v1/sweeps/{id}/trials lists a sweep's",
        )


class UnknownKeyError(StoreError):
    """No API key has this id."""

    status = 404

    def __init__(self, key: str) -> None:
        super().__init__(
            f"there is no API key {key!r}", "`seedbed keys list` shows those that there are"
        )


class StateConflictError(StoreError):
    """The sweep's state does not allow this."""

    status = 409


class NotReplayableError(StoreError):
    """There is nothing to compare a replay with, or no worker that may run it."""

    status = 409


class IdempotencyConflictError(StoreError):
    """An Idempotency-Key came back with another body."""

    status = 409


class StoreOwnedError(StoreError):
    """Another service runs on the same SQLite file."""

    status = 503


class StoreNotSharedError(StoreError):
    """A process that is one of several was given a SQLite file."""

    status = 503

    def __init__(self, process: str) -> None:
        super().__init__(
            f"`seedbed {process}` was given a SQLite file, which belongs to one process alone; "
            "processes of their own need a store that they can share",
            "set SEEDBED_DATABASE_URL=postgresql+psycopg://USER:PASSWORD@HOST/NAME, or run all in "
            "one with `seedbed serve`",
        )


class StoreAwayError(StoreError):
    """The database cannot be reached at a start."""

    status = 503

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the store cannot be reached: {why}; a process starts only with its store",
            "look at SEEDBED_DATABASE_URL and whether PostgreSQL is up, then start again",
        )


class SchemaError(StoreError):
    """The schema is not the one of this program."""

    status = 503

    def __init__(self, found: str | None, newest: str | None) -> None:
        have = "has no schema" if found is None else f"has schema {found}"
        older = found is None or (newest is not None and found < newest)
        super().__init__(
            f"the store {have}, and this program needs {newest}; only `seedbed db upgrade` and "
            "`seedbed serve` change it",
            "run `seedbed db upgrade` once, then start again"
            if older
            else "this program is older than the store: run the release that upgraded it",
        )


class BackupError(StoreError):
    """The backup cannot be made so."""

    status = 409
