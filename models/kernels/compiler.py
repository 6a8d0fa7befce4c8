"""How kernels are compiled: by numba for this machine's processor, once, and kept on disk.

Numba notices a change of the file that a kernel stands in, but not of the files that it calls; so
compiled code lies in a folder named by a hash of this package's source.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def cache_folder() -> Path:
    """Where compiled kernels of exactly this source lie; made if it is not there."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    places = [Path(home)] if home else [Path.home() / ".cache"]
    places.append(Path(tempfile.gettempdir()) / f"seedbed-{os.getuid()}")
    for place in places:
        folder = place / "seedbed" / f"kernels-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise PermissionError(
        f"compiled kernels can be kept in none of {', '.join(map(str, places))}; "
        "set NUMBA_CACHE_DIR to a folder that this user can write"
    )


numba.config.CACHE_DIR = str(cache_folder())

#: multiply-adds may be fused; nothing else of IEEE arithmetic is given up
_EXACT: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True}
#: sums may be taken in several parts at once; each lane's order is fixed by its length
_SUM = _EXACT | {"fastmath": {"contract", "reassoc", "nsz"}}

inlined = numba.njit(forceinline=True, **_EXACT)
kernel = numba.njit(cache=True, **_EXACT)
summing_kernel = numba.njit(cache=True, **_SUM)


def description() -> str:
    """What compiles and for what, as a part of the numerics class."""
    return f"numba {numba.__version__} for {llvmlite.binding.get_host_cpu_name()}"


@intrinsic
def bits_of(typing: Any, x: Any) -> Any:
    """The int32 whose bits are those of a float32."""
    return types.int32(types.float32), lambda c, b, s, a: b.bitcast(a[0], ir.IntType(32))


@intrinsic
def float_of(typing: Any, x: Any) -> Any:
    """The float32 whose bits are those of an int32."""
    return types.float32(types.int32), lambda c, b, s, a: b.bitcast(a[0], ir.FloatType())


@intrinsic
def signed(typing: Any, x: Any) -> Any:
    """The int32 of the same bits as a uint32."""
    return types.int32(types.uint32), lambda c, b, s, a: a[0]


@intrinsic
def floats_at(typing: Any, address: Any) -> Any:
    """A pointer to float32 numbers at an address."""
    pointer = types.CPointer(types.float32)
    return pointer(types.uint64), lambda c, b, s, a: b.inttoptr(a[0], c.get_value_type(pointer))
