"""Small matrix products, convolutions and transposes, without packing or a call outside.

A lane's matrices are too small for a library's preparations: sgemm reaches two thirds of its own
speed on 32 x 50 x 50. Here a tile of a few rows by a few vectors of a product stays in registers
while the depth goes by (Goto & van de Geijn 2008, without the packing). What is left over at an
edge is covered by rows and a vector that overlap their neighbours and write equal numbers again:
every element is one chain of fused multiply-adds in the order of depth, wherever it lies.
"""

from collections.abc import Sequence
from itertools import product as pairs
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from models.kernels.compiler import floats_at, inlined, kernel

#: float32 numbers of a vector
VECTOR = 8
#: rows of a tile
ROWS = 4
#: vectors of the widest tile: four rows of them, those of b and one of a must find registers
MOST = 4 if llvmlite.binding.get_host_cpu_features().get("avx512vl") else 3
#: (rows, vectors) of tiles
TILES = list(pairs((1, ROWS), range(1, MOST + 1)))

_VECTOR, _ROWS, _MOST = np.int64(VECTOR), np.int64(ROWS), np.int64(MOST)
_NUMBER, _COUNT, _WORD = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_PACKED = ir.VectorType(_NUMBER, VECTOR)
_ZEROS = ir.Constant(_PACKED, [0.0] * VECTOR)


@intrinsic
def _tile(typing: Any, shape: Any, operands: Any) -> Any:
    """The tile TILES[shape] of a product; operands as `product` has them, and `last`.

    `last` is where the tile's last vector begins, in numbers from its first column.
    """

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        choice = args[0]
        given = [b.extract_value(args[1], i) for i in range(len(operands))]
        done = b.append_basic_block("done")
        switch = b.switch(choice, done)
        for number, (rows, vectors) in enumerate(TILES):
            here = b.append_basic_block(f"tile{rows}x{vectors}")
            switch.add_case(_COUNT(number), here)
            b.position_at_end(here)
            _emit(b, given, rows, vectors)
            b.branch(done)
        b.position_at_end(done)
        return context.get_dummy_value()

    return types.void(shape, operands), emit


def _emit(b: Any, given: Sequence[Any], rows: int, vectors: int) -> None:
    """Two nested loops over the depth, their sums in vectors; then the stores."""
    a, a_row, a_step, a_jump, right, b_row, b_jump, out, out_row, depth, times, last = given
    a, right, out = (b.inttoptr(address, _NUMBER.as_pointer()) for address in (a, right, out))
    places = [*(_COUNT(VECTOR * v) for v in range(vectors - 1)), last]
    before = b.block
    outer, inner = b.append_basic_block("times"), b.append_basic_block("depth")
    onward, after = b.append_basic_block("onward"), b.append_basic_block("after")
    b.branch(outer)

    b.position_at_end(outer)
    time = b.phi(_COUNT)
    outer_sums = [b.phi(_PACKED) for _ in range(rows * vectors)]
    from_a = b.gep(a, [b.mul(time, a_jump)])
    lefts = [b.gep(from_a, [b.mul(a_row, _COUNT(r))]) for r in range(rows)]
    from_b = b.gep(right, [b.mul(time, b_jump)])
    b.branch(inner)

    b.position_at_end(inner)
    k = b.phi(_COUNT)
    sums = [b.phi(_PACKED) for _ in range(rows * vectors)]
    at = b.gep(from_b, [b.mul(k, b_row)])
    columns = [b.load(_vector_at(b, at, place), align=4) for place in places]
    step = b.mul(k, a_step)
    fused = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(_PACKED, [_PACKED] * 3), f"llvm.fma.v{VECTOR}f32"
    )
    found: list[Any] = []
    for left in lefts:
        factor = _everywhere(b, b.load(b.gep(left, [step])))
        for column in columns:
            found.append(b.call(fused, [factor, column, sums[len(found)]]))
    next_k = b.add(k, _COUNT(1))
    b.cbranch(b.icmp_signed("<", next_k, depth), inner, onward)

    b.position_at_end(onward)
    next_time = b.add(time, _COUNT(1))
    b.cbranch(b.icmp_signed("<", next_time, times), outer, after)

    for counter, following, entry, back in (
        (time, next_time, before, onward),
        (k, next_k, outer, inner),
    ):
        counter.add_incoming(_COUNT(0), entry)
        counter.add_incoming(following, back)
    for first, total, sum_ in zip(outer_sums, sums, found, strict=True):
        first.add_incoming(_ZEROS, before)
        first.add_incoming(sum_, onward)
        total.add_incoming(first, outer)
        total.add_incoming(sum_, inner)

    b.position_at_end(after)
    for r in range(rows):
        row = b.gep(out, [b.mul(out_row, _COUNT(r))])
        for v, place in enumerate(places):
            b.store(found[r * vectors + v], _vector_at(b, row, place), align=4)


def _vector_at(b: Any, start: Any, place: Any) -> Any:
    return b.bitcast(b.gep(start, [place]), _PACKED.as_pointer())


def _everywhere(b: Any, number: Any) -> Any:
    """A vector of one number."""
    undefined = ir.Constant(_PACKED, ir.Undefined)
    one = b.insert_element(undefined, number, _WORD(0))
    return b.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_WORD, VECTOR), [0] * VECTOR))


@inlined
def after(address, numbers):
    """The address so many float32 numbers further."""
    return address + np.uint64(4 * numbers)


@kernel
def sliding_product(
    a, a_row, a_step, a_jump, b, b_row, b_jump, c, c_row, rows, depth, columns, times
):
    """C = a_0 b_0 + a_1 b_1 + ..., `times` products of float32, taken in that order.

    With c (rows, columns), a (rows, depth), b (depth, columns): a_t and b_t begin t a_jump and
    t b_jump numbers after a_0 and b_0. A b that slides over padded rows makes a convolution.

    Args:
        a: address (uint64); element (i, k) lies i a_row + k a_step numbers further, so that a
            transposed matrix is one of other strides.
        b: address; row k begins k b_row numbers further, its columns lie side by side.
        c: address, strided as b; must not overlap a or b.
        rows, depth, columns, times: each at least 1 (int64).
    """
    if columns < _VECTOR:
        x, y, z = floats_at(a), floats_at(b), floats_at(c)
        for i in range(rows):
            for j in range(columns):
                total = np.float32(0.0)
                for t in range(times):
                    for k in range(depth):
                        left = x[t * a_jump + i * a_row + k * a_step]
                        total += left * y[t * b_jump + k * b_row + j]
                z[i * c_row + j] = total
        return
    vectors = (columns + _VECTOR - 1) // _VECTOR
    panels = (vectors + _MOST - 1) // _MOST
    j = 0
    for panel in range(panels):
        v = (vectors + panels - 1 - panel) // panels
        last = min((v - 1) * _VECTOR, columns - _VECTOR - j)
        height, shape = (_ROWS, _MOST + v - 1) if rows >= _ROWS else (np.int64(1), v - 1)
        for i in range(0, rows, height):
            first = min(np.int64(i), rows - height)
            x, y = after(a, first * a_row), after(c, first * c_row + j)
            z = after(b, j)
            operands = (
                *(x, a_row, a_step, a_jump),
                *(z, b_row, b_jump),
                *(y, c_row),
                *(depth, times, last),
            )
            _tile(shape, operands)
        j += v * _VECTOR


@kernel
def product(a, a_row, a_step, b, b_row, c, c_row, rows, depth, columns):
    """C = a b; see `sliding_product`."""
    none, once = np.int64(0), np.int64(1)
    sliding_product(a, a_row, a_step, none, b, b_row, none, c, c_row, rows, depth, columns, once)


@intrinsic
def _turn_block(typing: Any, a: Any, a_row: Any, b: Any, b_row: Any) -> Any:
    """B (8, 8) becomes the transpose of a (8, 8), by three rounds of a perfect shuffle."""

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        source, row, target, to_row = args
        at = b.inttoptr(source, _NUMBER.as_pointer())
        to = b.inttoptr(target, _NUMBER.as_pointer())
        half = VECTOR // 2
        rows = [b.load(_vector_at(b, at, b.mul(row, _COUNT(i))), align=4) for i in range(VECTOR)]
        word = ir.VectorType(_WORD, VECTOR)
        masks = [
            ir.Constant(word, [k for j in range(start, start + half) for k in (j, j + VECTOR)])
            for start in (0, half)
        ]
        for _ in range(VECTOR.bit_length() - 1):
            rows = [
                b.shuffle_vector(rows[i], rows[i + half], m) for i in range(half) for m in masks
            ]
        for i, vector in enumerate(rows):
            b.store(vector, _vector_at(b, to, b.mul(to_row, _COUNT(i))), align=4)
        return context.get_dummy_value()

    return types.void(a, a_row, b, b_row), emit


@kernel
def transpose(a, rows, columns, b):
    """B (columns, rows) becomes the transpose of a (rows, columns); addresses of float32."""
    if rows < _VECTOR or columns < _VECTOR:
        x, y = floats_at(a), floats_at(b)
        for i in range(rows):
            for j in range(columns):
                y[j * rows + i] = x[i * columns + j]
        return
    for j in range(0, columns, _VECTOR):
        column = min(np.int64(j), columns - _VECTOR)
        for i in range(0, rows, _VECTOR):
            row = min(np.int64(i), rows - _VECTOR)
            _turn_block(
                after(a, row * columns + column), columns, after(b, column * rows + row), rows
            )
