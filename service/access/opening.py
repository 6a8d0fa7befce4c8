"""Whether a service may open to others: only where keys are asked for and an admin has one."""

from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from service.configuration import LOOPBACK, Configuration
from service.store import keys
from service.store.errors import StoreError


class NoAdminError(StoreError):
    """The service would be open to others, and nobody could make or revoke a key of it."""

    status = 503


def judge_opening(
    configuration: Configuration, reading: sessionmaker[Session], now: datetime
) -> None:
    """Lets a service start on loopback, or elsewhere once there is a key of scope admin.

    Raises:
        NoAdminError: there is none.
    """
    if configuration.host in LOOPBACK:
        return
    with reading() as session:
        if keys.admins(session, now):
            return
    raise NoAdminError(
        f"host {configuration.host} lets others in, and there is no API key of scope admin that is "
        "neither revoked nor expired; a service that others reach has an admin",
        "make one with "
        "`seedbed keys create --name first --owner YOU --scope admin` (with the same "
        "SEEDBED_DATABASE_URL or SEEDBED_STATE_FOLDER), keep what it prints, and start again",
    )
