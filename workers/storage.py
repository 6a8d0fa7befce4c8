"""Storage: named files in a folder or an object store, through fsspec; whole or not at all.

It imports no tensor library: workers write checkpoints and weights here, and the service reads,
lists and removes them. Whatever goes wrong is a `StorageError`; its text never holds the URL, which
may carry a password.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

#: where a file is made under a temporary name and moved, and where writing it is one act
FOLDERS = frozenset({"file", "local", "sftp", "ssh", "hdfs", "arrow_hdfs", "webhdfs", "smb"})
OBJECTS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "oci", "oss", "tos", "memory"})
PARTIAL = ".partial"
_CHUNK = 2**20


class StorageError(Exception):
    """Storage could not do what it was asked; training goes on without it."""


class MissingFileError(StorageError):
    """There is no such file."""


class TooLargeFileError(StorageError):
    """A file is larger than anything that may be there."""


class StorageUrlError(ValueError):
    """A storage URL is none that can be written to."""


@dataclass(frozen=True)
class Found:
    """A file in a folder.

    Attributes:
        name: without the folder's.
        modified: when it was last written, if the storage knows.
    """

    name: str
    modified: datetime | None


def checkpoint_name(sweep: str, trial: int) -> str:
    """Where a trial's newest checkpoint lies."""
    return f"checkpoints/{sweep}/{trial}.safetensors"


def weights_name(sweep: str, trial: int, attempt: int) -> str:
    """Where the final weights of an attempt lie."""
    return f"weights/{sweep}/{trial}-{attempt}.safetensors"


def checked_url(url: str) -> str:
    """The URL, or the absolute path of a folder.

    Raises:
        StorageUrlError: what is wrong with it, without its value.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return str(Path(url).absolute())
    if "::" in url or scheme not in FOLDERS | OBJECTS:
        known = ", ".join(sorted(FOLDERS | OBJECTS))
        raise StorageUrlError(
            f"a storage URL of scheme {scheme!r:.40} cannot keep files that are written, read and "
            f"removed one by one; use a folder's path, or one of {known}"
        )
    if not rest.strip("/"):
        raise StorageUrlError(
            f"the storage URL names no place after {scheme}://; name a bucket or a folder"
        )
    return url


class Storage:
    """A place for files; safe to use from several threads.

    Args:
        url: a folder's absolute path, or a URL that fsspec knows (see `checked_url`).

    Raises:
        StorageError: what the URL needs is not installed, or refuses to begin.
    """

    def __init__(self, url: str) -> None:
        self._scheme = url.partition("://")[0] if "://" in url else "file"
        try:
            if "://" in url:
                self._fs, self._root = fsspec.url_to_fs(url, use_listings_cache=False)
            else:
                self._fs, self._root = LocalFileSystem(), url
        except Exception as error:
            raise StorageError(
                f"{self._scheme} storage could not be opened ({_say(error)}); install what fsspec "
                "needs for it where this runs, and give its credentials in the environment"
            ) from error

    def prepare(self) -> None:
        """Makes the folder, for its owner only, where storage is one that is not there yet."""
        with self._asked("made", "the storage folder"):
            if isinstance(self._fs, LocalFileSystem):
                Path(self._root).mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Makes or replaces a file, whole or not at all."""
        with self._asked("written", name) as path:
            if isinstance(self._fs, LocalFileSystem):
                _write_local(Path(self._root), Path(path), data)
            elif self._scheme in FOLDERS:
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                partial = _partial(path)
                try:
                    self._fs.pipe_file(partial, data)
                    self._fs.mv(partial, path)
                except BaseException:
                    with suppress(Exception):
                        self._fs.rm_file(partial)
                    raise
            else:
                self._fs.pipe_file(path, data)

    def read(self, name: str, most: int) -> bytes:
        """A file of at most so many bytes.

        Raises:
            MissingFileError: there is none.
            TooLargeFileError: it is larger.
        """
        with self.opened(name) as file:
            data: bytes = file.read(most + 1)
        if len(data) > most:
            raise TooLargeFileError(f"{name} is larger than the {most} bytes that it can have")
        return data

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """A file to read."""
        with self._asked("read", name) as path, self._fs.open(path, "rb") as file:
            yield file

    def size(self, name: str) -> int:
        """Bytes of a file."""
        with self._asked("read", name) as path:
            return int(self._fs.size(path))

    def remove(self, names: Iterable[str]) -> None:
        """Removes files; those that are not there are gone already."""
        for name in names:
            with suppress(MissingFileError), self._asked("removed", name) as path:
                self._fs.rm_file(path)

    def folders(self, name: str) -> list[str]:
        """Names of the folders in a folder."""
        return [n for n, kind, _ in self._listed(name) if kind == "directory"]

    def files(self, name: str) -> list[Found]:
        """The files in a folder; none where there is no such folder."""
        return [Found(n, _moment(info)) for n, kind, info in self._listed(name) if kind == "file"]

    def remove_folder(self, name: str) -> None:
        """Removes an empty folder, where the storage has such a thing."""
        if self._scheme in FOLDERS:
            with suppress(MissingFileError), self._asked("removed", name) as path:
                self._fs.rmdir(path)

    def _listed(self, name: str) -> list[tuple[str, str, dict[str, Any]]]:
        with suppress(MissingFileError), self._asked("listed", name) as path:
            self._fs.invalidate_cache()
            found = self._fs.ls(path, detail=True)
            return [(i["name"].rstrip("/").rpartition("/")[2], i["type"], i) for i in found]
        return []

    @contextmanager
    def _asked(self, done: str, name: str) -> Iterator[str]:
        """The path of a name, and one kind of error for whatever a file system raises."""
        if name.startswith("/") or ".." in name.split("/"):
            raise StorageError(f"{name!r:.80} is no name of a file in storage")
        try:
            yield f"{self._root}/{name}"
        except StorageError:
            raise
        except FileNotFoundError as error:
            raise MissingFileError(f"{name} is not in storage") from error
        except Exception as error:
            raise StorageError(
                f"{name} could not be {done} in {self._scheme} storage ({_say(error)})"
            ) from error


def _write_local(root: Path, path: Path, data: bytes) -> None:
    """Under a temporary name, to the disk, and then moved; folders and files for the owner only.

    The root is never made here: where it is missing a disk is not mounted, or this is another
    machine than the one whose folder was meant.
    """
    if not root.is_dir():
        raise StorageError(
            "the storage folder is not on this machine; mount it, or name storage that every "
            "machine reaches in SEEDBED_STORAGE_URL"
        )
    for folder in reversed(path.relative_to(root).parents):
        (root / folder).mkdir(mode=0o700, exist_ok=True)
    partial = Path(_partial(str(path)))
    try:
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _partial(path: str) -> str:
    return f"{path}.{secrets.token_hex(4)}{PARTIAL}"


def _moment(info: dict[str, Any]) -> datetime | None:
    """When a file was last written, whatever its storage calls that."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        found = info.get(name)
        if isinstance(found, int | float):
            return datetime.fromtimestamp(found, UTC)
        if isinstance(found, datetime):
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _say(error: Exception) -> str:
    """An error in a line: its kind, and the system's own words, which name no secret."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
