"""The folder where SQLite lies: made for its owner only, and nobody else's is narrowed."""

import os
import stat
from pathlib import Path

from sqlalchemy import make_url

from service.configuration import Configuration

_OPEN_TO_OTHERS = 0o077
#: beside the store, unless storage is elsewhere
STORAGE = "storage"


class OpenFolderError(Exception):
    """The state folder is open to others and is not the service's own to close."""


def store_file(database_url: str) -> Path | None:
    """The file of a SQLite store; None of a database that keeps its own house."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or url.database is None:
        return None
    return Path(url.database)


def prepare(configuration: Configuration) -> None:
    """Makes the folder of the store with mode 0700, and its file with 0600.

    A state folder that is there and open to others is closed to them if it holds nothing but a
    store. Where SEEDBED_DATABASE_URL names a file in another folder, that folder stays as it is.

    Raises:
        OpenFolderError: the state folder is open to others and holds other things, or is not ours.
    """
    file = store_file(configuration.database_url)
    if file is None:
        return
    if file.parent.absolute() == configuration.state_folder.absolute():
        close(file.parent, file.name)
    else:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))


def close(folder: Path, name: str) -> None:
    """Makes a folder for its owner only, or closes one that holds only the store of that name.

    Raises:
        OpenFolderError: it is open to others and is not ours to close.
    """
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        found = folder.stat()
        mode = stat.S_IMODE(found.st_mode)
        if not mode & _OPEN_TO_OTHERS:
            return
        why = "it belongs to somebody else"
        if found.st_uid == os.geteuid():
            own = (name, STORAGE)
            foreign = sorted(e.name for e in folder.iterdir() if not e.name.startswith(own))
            if not foreign:
                folder.chmod(0o700)
                return
            why = f"it holds {foreign[0]!r}"
        raise OpenFolderError(
            f"the state folder {folder} has mode {mode:04o}, which lets others in; a store is for "
            f"its owner only, and the service does not close this folder itself, since {why}; "
            f"give the store a folder of its own (SEEDBED_STATE_FOLDER={folder / 'seedbed'}), or "
            f"run chmod 700 {folder}"
        ) from None
