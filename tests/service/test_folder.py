"""The store's folder is for its owner only; a folder that is not its own is not closed."""

import os
import stat
from pathlib import Path

import pytest

from service.api.state import free_bytes_of
from service.configuration import Configuration
from service.folder import OpenFolderError, prepare, store_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(path: Path, permissions: int = 0o755) -> Path:
    """A folder that is there and lets others in, whatever the umask."""
    path.mkdir()
    path.chmod(permissions)
    return path


def test_a_new_folder_and_its_store_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    prepare(Configuration(state_folder=folder))
    assert mode(folder) == 0o700
    assert mode(folder / "seedbed.db") == 0o600


@pytest.mark.parametrize("held", [(), ("seedbed.db", "seedbed.db-wal", "seedbed.db.lock")])
def test_an_open_folder_that_holds_only_a_store_is_closed(
    tmp_path: Path, held: tuple[str, ...]
) -> None:
    folder = opened(tmp_path / "state")
    for name in held:
        (folder / name).touch()
    prepare(Configuration(state_folder=folder))
    assert mode(folder) == 0o700


@pytest.mark.parametrize("permissions", [0o755, 0o1777, 0o710])
def test_an_open_folder_with_other_things_is_refused_and_stays_as_it_is(
    tmp_path: Path, permissions: int
) -> None:
    """SEEDBED_STATE_FOLDER=/tmp would lock everybody out of /tmp, also after an earlier store."""
    folder = opened(tmp_path / "shared", permissions)
    (folder / "theirs").touch()
    (folder / "seedbed.db").touch()
    with pytest.raises(OpenFolderError, match=f"mode {permissions:04o}.*'theirs'.*chmod 700"):
        prepare(Configuration(state_folder=folder))
    assert mode(folder) == permissions


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = opened(tmp_path / "state")
    other = os.geteuid() + 1
    monkeypatch.setattr("service.folder.os.geteuid", lambda: other)
    with pytest.raises(OpenFolderError, match="belongs to somebody else"):
        prepare(Configuration(state_folder=folder))
    assert mode(folder) == 0o755


def test_a_closed_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = opened(tmp_path / "state", 0o500 | 0o200)
    (folder / "backup").touch()
    prepare(Configuration(state_folder=folder))
    assert mode(folder) == 0o700


def test_a_store_elsewhere_leaves_its_folder_open_and_is_closed_itself(tmp_path: Path) -> None:
    folder = opened(tmp_path / "data")
    (folder / "theirs").touch()
    file = folder / "x.db"
    configuration = Configuration(
        state_folder=tmp_path / "unused", database_url=f"sqlite:///{file}"
    )
    prepare(configuration)
    assert (mode(folder), mode(file)) == (0o755, 0o600)
    assert not configuration.state_folder.exists()


def test_disk_is_measured_where_the_store_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state folder may not even be there."""
    asked: list[Path] = []

    class Usage:
        free = 7

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage()

    monkeypatch.setattr("service.api.state.shutil.disk_usage", usage)
    elsewhere = f"sqlite:///{tmp_path / 'data' / 'x.db'}"
    given = Configuration(state_folder=tmp_path / "unused", database_url=elsewhere)
    assert free_bytes_of(given)() == 7
    assert asked == [tmp_path / "data"]
    postgres = Configuration(database_url="postgresql+psycopg://u:p@127.0.0.1/x")
    assert free_bytes_of(postgres)() is None


def test_the_file_of_a_url() -> None:
    assert store_file("sqlite:////a/b.db") == Path("/a/b.db")
    assert store_file("sqlite:///b.db?timeout=3") == Path("b.db")
    assert store_file("postgresql+psycopg://u@h/x") is None
