"""Kept weights: a trial's final parameters as a safetensors file, which says what they are.

The file holds the parameters by their names, as `safetensors.torch.load_file` gives them; its
metadata are enough to build the program and measure them again, on the trial's own draws.
"""

import hashlib
import json
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from models.experiment import Tier
from workers import numerics
from workers.lane import Lane, Rows, fingerprint
from workers.lane_file import copied
from workers.messages import Assignment, Failure, Outcome, PackSpec, Weights, wanted
from workers.moving import await_files
from workers.pack import Ended, Pack
from workers.storage import Storage, StorageError, weights_name

FORMAT = "seedbed-weights/1"
#: storage that refuses a file is asked again for so long, and waited for while no file is written;
#: then the attempt has failed
PATIENCE_S = 60.0
_WRITERS = 4

Pair = tuple[int, int]


class NoWeightsError(Exception):
    """A file is none of kept weights, or its content is not what it says."""


class Keeper:
    """Writes the weights of trials that end, while the pack trains on.

    Args:
        storage: where to; None: it cannot be opened, so that nothing can be kept.
    """

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage
        self._writers = ThreadPoolExecutor(_WRITERS, "weights")
        self._writing: dict[Pair, Future[Weights]] = {}

    def boundary(self, pack: Pack, ended: Ended) -> None:
        """Begins to write what is to be kept of the trials that just ended."""
        for lane, outcome in zip(ended.lanes, ended.outcomes, strict=True):
            files = lane.assignment.files
            if files is not None and files.keep is not None and wanted(files.keep, outcome):
                write = partial(self._write, copied(lane), pack.spec, outcome.fingerprint)
                pair = outcome.trial, outcome.attempt
                self._writing[pair] = self._writers.submit(write)

    def settle(self, outcomes: Collection[Outcome]) -> tuple[list[Outcome], list[Failure]]:
        """Outcomes with their weights, once those are written; without them, failures.

        A spec that keeps weights promises them, so that an outcome whose weights cannot be written
        is no outcome: the attempt counts as one that raised, and the trial is tried again. Storage
        that is slow is waited for as long as it writes one file after another (`await_files` says
        what bounds that).
        """
        whole: list[Outcome] = []
        failures: list[Failure] = []
        mine = [self._writing.pop((o.trial, o.attempt), None) for o in outcomes]
        await_files([each for each in mine if each is not None], PATIENCE_S)
        for outcome, writing in zip(outcomes, mine, strict=True):
            try:
                kept = None if writing is None else writing.result(0.0)
            except (StorageError, TimeoutError) as error:
                if writing is not None:
                    writing.cancel()  # nobody needs it; else files wait without end, in memory
                why = str(error) or f"storage did not answer for {PATIENCE_S:.0f} s"
                text = (
                    f"the trial ended, but its weights could not be kept: {why}; its sweep keeps "
                    "weights, so the attempt does not count; mend storage (SEEDBED_STORAGE_URL), "
                    "or submit with keep_weights: none"
                )
                failures.append(Failure(outcome.trial, outcome.attempt, text, text))
            else:
                whole.append(replace(outcome, weights=kept))
        return whole, failures

    def _write(self, lane: Lane, spec: PackSpec, print_of: str) -> Weights:
        a = lane.assignment
        assert a.files is not None  # noqa: S101 - asked only of what is to be kept
        if self._storage is None:
            raise StorageError("this worker has no storage")
        data = content(lane, spec, print_of)
        name = weights_name(a.files.sweep, a.trial, a.attempt)
        end, pause_s = time.monotonic() + PATIENCE_S, 0.5
        while True:
            try:
                self._storage.write(name, data)
            except StorageError:
                if time.monotonic() + pause_s > end:
                    raise
                threading.Event().wait(pause_s)
                pause_s *= 2
            else:
                return Weights(name, len(data), hashlib.sha256(data).hexdigest())


def content(lane: Lane, spec: PackSpec, print_of: str) -> bytes:
    """The file of a lane that `lane_file.copied` gave."""
    a = lane.assignment
    assert a.files is not None  # noqa: S101
    assert a.files.keep is not None  # noqa: S101
    about = {
        "format": FORMAT,
        "experiment": spec.experiment,
        "shared": json.dumps(dict(spec.shared), sort_keys=True),
        "segment": str(spec.segment),
        "values": json.dumps(dict(a.values), sort_keys=True),
        "root": f"{a.root:032x}",
        "setting_hash": f"{a.setting:032x}",
        "seed": str(a.seed),
        "sweep": a.files.sweep,
        "trial": str(a.trial),
        "attempt": str(a.attempt),
        "step": str(lane.step),
        "fingerprint": print_of,
    }
    return save(lane.params, dict(a.files.keep.about) | about)


@dataclass(frozen=True)
class Kept:
    """Weights that were kept, and what their file says of them."""

    params: Rows
    about: Mapping[str, str]

    def evaluate(self, tier: Tier = "cheap") -> dict[str, float]:
        """The metrics of a tier, measured anew on the CPU, on the draws of the trial itself."""
        numerics.settle()
        about = self.about
        segment, step = int(about["segment"]), int(about["step"])
        shared: dict[str, Any] = json.loads(about["shared"])
        spec = PackSpec(about["experiment"], shared, segment, step, 1, "end")
        task = Assignment(
            trial=int(about["trial"]),
            attempt=int(about["attempt"]),
            root=int(about["root"], 16),
            setting=int(about["setting_hash"], 16),
            seed=int(about["seed"]),
            values=json.loads(about["values"]),
        )
        pack = Pack(spec, torch.device("cpu"))
        return pack.measure([Lane(task, step, self.params, {}, {})], tier)[0]


def read(file: Path | str) -> Kept:
    """The weights of a file that was downloaded.

    Raises:
        NoWeightsError: it is none, or its weights are not those whose fingerprint it names.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            about = dict(opened.metadata() or {})
            params = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except Exception as error:
        raise NoWeightsError(f"{file} is no safetensors file that can be read ({error})") from error
    if about.get("format") != FORMAT:
        raise NoWeightsError(f"{file} is of format {about.get('format')!r:.50}, not {FORMAT}")
    if fingerprint(params) != about.get("fingerprint"):
        raise NoWeightsError(f"{file} does not hold the weights whose fingerprint it names")
    return Kept(params, about)
