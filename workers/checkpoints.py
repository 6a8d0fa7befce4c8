"""Checkpoints: when a lane's file is written, and how a trial goes on from it.

Training never waits for storage, but where a pack is parked: what cannot be written is not, and
only the work since the last checkpoint can be lost. A checkpoint is one of a pure function's
intermediate values, so any of the same origin will do, whichever attempt wrote it.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from workers.lane import Lane
from workers.lane_file import LaneFileError, Restored, copied, most_bytes, origin, restored, written
from workers.messages import Assignment, Resumption
from workers.moving import await_files
from workers.pack import Pack
from workers.storage import (
    MissingFileError,
    Storage,
    StorageError,
    TooLargeFileError,
    checkpoint_name,
)
from workers.writer import Writer

#: a claim waits for its checkpoints until none was read for so long; then it begins without
READ_S = 30.0
#: a lane that found no room is offered again after so long
_AGAIN_S = 1.0
_READERS = 8

Pair = tuple[int, int]


@dataclass
class Kept:
    """What is known of a trial's checkpoints.

    Attributes:
        name: of its file.
        places: that trained it so far, this one included.
        since: when it began here, or was last checkpointed.
        step: that its newest checkpoint stands at, if it is written; 0: none.
    """

    name: str
    places: tuple[str, ...]
    since: float
    step: int = 0


class Checkpoints:
    """The checkpoints of one worker's lanes.

    Args:
        storage: where they lie.
        writer: writes them there.
        every_s: a lane is checkpointed at most so often; 0: only when it is parked.
        place: this worker's name.
        numerics: the id of the numerics class of the pack that it trains.
    """

    def __init__(
        self, storage: Storage, writer: Writer, every_s: float, place: str, numerics: str
    ) -> None:
        self._storage = storage
        self._writer = writer
        self._every_s = every_s
        self._place = place
        self._numerics = numerics
        self._kept: dict[Pair, Kept] = {}
        self._next = 0.0

    def resume(self, pack: Pack, tasks: Sequence[Assignment]) -> list[Resumption]:
        """Gives the pack the lanes of those that have a checkpoint; says how each of them began.

        Who is not named has none, or cannot have one: the pack admits it at its start.
        """
        asked = {_pair(a): a for a in tasks if a.files is not None and a.files.resume}
        if not asked:
            return []
        try:
            template = pack.fresh(next(iter(asked.values())))
        except Exception:  # noqa: BLE001 - admission raises the same, for the trial's own record
            return []
        most = most_bytes(template, pack.spec, len(pack.metrics))
        found: list[Resumption] = []
        for pair, data in self._read(asked, most).items():
            task = asked[pair]
            if isinstance(data, MissingFileError):
                continue
            try:
                if isinstance(data, StorageError):
                    raise data
                back = self._restored(pack, task, template, data)
            except (LaneFileError, StorageError) as error:
                found.append(Resumption(*pair, 0, f"a checkpoint was not gone on from: {error}"))
                continue
            pack.resume([back.lane])
            places = tuple(dict.fromkeys((*back.places, self._place)))
            self._kept[pair] = Kept(_name(task), places, time.monotonic(), back.lane.step)
            found.append(Resumption(*pair, back.lane.step))
        return found

    def _restored(self, pack: Pack, task: Assignment, template: Lane, data: bytes) -> Restored:
        """The lane of a checkpoint that may be gone on from.

        Raises:
            LaneFileError: it may not.
        """
        whole = pack.whole(task)
        here = origin(whole, pack.spec, self._numerics)
        back = restored(data, here, replace(template, assignment=whole), pack.spec)
        out = set(back.places).intersection(task.files.distrusted if task.files else ())
        if out:
            raise LaneFileError(f"it was trained by {', '.join(sorted(out))}, which was excluded")
        return back

    def _read(
        self, asked: Mapping[Pair, Assignment], most: int
    ) -> dict[Pair, bytes | StorageError]:
        """What storage has of each, all read at once, and for as long as one after another comes.

        `await_files` says what bounds that.
        """
        readers = ThreadPoolExecutor(_READERS, "storage")
        reads = {
            pair: readers.submit(self._storage.read, _name(task), most)
            for pair, task in asked.items()
        }
        await_files(reads.values(), READ_S, _answered)
        readers.shutdown(wait=False, cancel_futures=True)
        return {pair: _answer(read) for pair, read in reads.items()}

    def boundary(self, pack: Pack) -> None:
        """Offers the lanes that are due; what finds no room is offered again later."""
        now = time.monotonic()
        if self._every_s <= 0 or now < self._next:
            return
        mine = self._mine(pack, now)
        refused = False
        for lane, kept in mine:
            if now - kept.since >= self._every_s:
                if self._writer.takes(kept.name) and self._offer(pack, lane, kept):
                    kept.since = now
                else:  # no room, or its last one hangs: that holds up no other lane
                    refused = True
        due = self._every_s + min((kept.since for _, kept in mine), default=now)
        self._next = min(due, now + self._every_s / 4)  # lanes that enter meanwhile are noticed
        if refused:
            self._next = now + _AGAIN_S

    def park(self, pack: Pack, limit_s: float) -> None:
        """Writes all lanes that went on since their last checkpoint, and waits for the writes."""
        end = time.monotonic() + limit_s
        for lane, kept in self._mine(pack, time.monotonic()):
            if lane.step > kept.step:
                self._offer(pack, lane, kept, max(0.0, end - time.monotonic()))
        self._writer.wait(max(0.0, end - time.monotonic()))

    def ended(self, pairs: Collection[Pair]) -> tuple[int, ...]:
        """Of trials that ended, those that may have a file; one not begun is not written now."""
        stored = [pair for pair in pairs if pair in self._kept and self._kept[pair].step]
        for pair in stored:
            self._writer.withdraw(self._kept[pair].name)
        return tuple(trial for trial, _ in stored)

    def keep(self, held: Collection[Pair]) -> None:
        """Forgets all other trials."""
        self._kept = {pair: kept for pair, kept in self._kept.items() if pair in held}

    def _mine(self, pack: Pack, now: float) -> list[tuple[Lane, Kept]]:
        """The lanes of which something may be stored."""
        return [
            (lane, self._kept.setdefault(_pair(a), Kept(_name(a), (self._place,), now)))
            for lane in pack.lanes
            if (a := lane.assignment).files is not None
        ]

    def _offer(self, pack: Pack, lane: Lane, kept: Kept, wait_s: float = 0.0) -> bool:
        """Whether the writer takes a lane, as it is now."""
        of = origin(lane.assignment, pack.spec, self._numerics)
        make = partial(written, copied(lane), of, kept.places)
        if not self._writer.offer(kept.name, make, wait_s):
            return False
        kept.step = lane.step
        return True


def _pair(assignment: Assignment) -> Pair:
    return assignment.trial, assignment.attempt


def _name(assignment: Assignment) -> str:
    assert assignment.files is not None  # noqa: S101 - asked only of what may be stored
    return checkpoint_name(assignment.files.sweep, assignment.trial)


def _answered(read: Future[bytes]) -> bool:
    """Whether storage said what it has, if only that it is nothing of use."""
    return isinstance(read.exception(), MissingFileError | TooLargeFileError | None)


def _answer(read: Future[bytes]) -> bytes | StorageError:
    """What a read came to.

    Raises:
        Exception: what is not storage's own error.
    """
    if not read.done() or read.cancelled():
        return StorageError(f"storage did not answer for {READ_S:.0f} s")
    error = read.exception()
    if isinstance(error, StorageError):
        return error
    return read.result()
