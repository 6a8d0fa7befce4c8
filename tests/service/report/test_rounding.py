"""Findings have digits that all machines agree on; what was given keeps its own."""

import math
import os
import subprocess
import sys

import pytest
from numpy._core._multiarray_umath import (  # type: ignore[attr-defined]
    __cpu_dispatch__,
    __cpu_features__,
)
from sqlalchemy import Engine

from service.evidence.pairs import Pairs
from service.evidence.sequential import difference_sequence
from service.report.canonical import canonical, digest
from service.report.rounding import rounded
from service.store.engine import open_engine, session_factory
from tests.service.report.swept import ANY, finished
from tests.service.report.test_findings import report

#: of NumPy's kernels for this CPU; the rest is what every one of its machines has
USED = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]


def test_only_derived_floats_are_rounded() -> None:
    third, long = 1 / 3, 0.12345678901234567
    given = {"spec": {"lr": third}, "first_plan": {"p": third}, "extensions": [{"grid": [third]}]}
    kept = {
        "n": 12345678901234567890,
        "yes": True,
        "no": False,
        "why": None,
        "a": "0.1234567890123",
    }
    rule = {"threshold": long, "cells": [{"setting": {"lr": long}, "rate": third}], **kept}
    found = rounded({**given, "criteria": [rule], "p": [1.2345678901234e-300, (long, 1e300)]})
    assert {key: found[key] for key in given} == given
    shown = {"threshold": long, "cells": [{"setting": {"lr": long}, "rate": 0.3333333333}], **kept}
    assert canonical(found["criteria"][0]) == canonical(shown)
    assert found["p"] == [1.23456789e-300, [0.123456789, 1e300]]
    assert rounded({"mean": sys.float_info.max}) == {"mean": sys.float_info.max}
    zero = rounded({"mean": -0.0, "one": 1.0})
    assert math.copysign(1, zero["mean"]) == -1
    assert canonical(zero) == b'{"mean":-0.0,"one":1.0}'


def test_rounding_again_changes_nothing(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = report(sessions, finished(sessions, **ANY)).findings
    assert digest(rounded(found)) == digest(found)


def hashes(url: str, sweep: str) -> tuple[str, str, str]:
    """Of a sweep's findings, and of many intervals, rounded and as they were found."""
    found = report(session_factory(open_engine(url)), sweep)
    ends = [difference_sequence(Pairs(3 * a, 2 * a, b, 7)) for a in range(12) for b in range(12)]
    return found.findings_hash, digest(rounded({"intervals": ends})), digest(ends)


def test_findings_are_the_same_whatever_kernels_numpy_takes(sqlite: Engine) -> None:
    """The same report in another process, which is told to forgo this CPU's fastest kernels."""
    given_up = [name for name in USED if name.startswith(("X86_V4", "AVX512", "SVE"))]
    if not given_up:
        pytest.skip(f"NumPy uses {USED} here and has no wider kernels to forgo: nothing compared")
    sweep = finished(session_factory(sqlite), **ANY)
    url = sqlite.url.render_as_string()
    asked = f"from {__name__} import hashes\nprint(*hashes({url!r}, {sweep!r}))"
    path = os.pathsep.join(filter(None, sys.path))
    other = subprocess.run(
        [sys.executable, "-c", asked],
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(given_up), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 0, other.stderr
    whole, intervals, raw = hashes(url, sweep)
    theirs = other.stdout.split()
    assert theirs[:2] == [whole, intervals]
    assert theirs[2] != raw, "the kernels agree to the last bit: the test shows nothing"
