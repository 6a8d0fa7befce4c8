"""Products, sliding products and transposes of small matrices, against numpy in float64."""

import numpy as np
import pytest

from models.kernels.product import product, sliding_product, transpose

SHAPES = [(1, 1, 1), (3, 4, 5), (4, 5, 8), (5, 3, 9), (50, 50, 32), (50, 32, 50), (13, 1, 23),
          (10, 50, 32), (7, 9, 11), (4, 2, 40), (33, 7, 31), (2, 784, 10)]  # fmt: skip


def at(x: np.ndarray, skip: int = 0) -> np.uint64:
    return np.uint64(x.ctypes.data + 4 * skip)


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def close(found: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    exact = left.astype(np.float64) @ right
    room = np.abs(left.astype(np.float64)) @ np.abs(right)
    assert (np.abs(found - exact) <= 1e-6 * room).all()


@pytest.mark.parametrize("turned", [False, True], ids=["as it lies", "transposed"])
@pytest.mark.parametrize(("rows", "depth", "columns"), SHAPES)
def test_a_product_is_numpys_and_writes_nothing_else(
    rows: int, depth: int, columns: int, *, turned: bool
) -> None:
    left, right = draw(depth, rows) if turned else draw(rows, depth), draw(depth, columns)
    strides = (1, rows) if turned else (depth, 1)
    room = np.full((rows + 2, columns + 3), np.nan, np.float32)
    product(
        *(at(left), *strides, at(right), columns),
        *(at(room, columns + 3 + 1), columns + 3, rows, depth, columns),
    )
    close(room[1:-1, 1:-2], left.T if turned else left, right)
    room[1:-1, 1:-2] = np.nan
    assert np.isnan(room).all()


def test_an_element_is_the_same_bits_wherever_it_lies() -> None:
    """Shapes that fall into other tiles give each element the same chain of sums."""
    left, right = draw(9, 60), draw(60, 70)
    found = []
    for rows, columns in ((9, 70), (4, 8), (1, 9), (5, 33)):
        out = np.empty((rows, columns), np.float32)
        product(at(left), 60, 1, at(right), 70, at(out), columns, rows, 60, columns)
        found.append(out)
    for other in found[1:]:
        rows, columns = other.shape
        assert np.array_equal(found[0][:rows, :columns], other)


def test_what_is_not_finite_stays_so() -> None:
    left, right = draw(5, 6), draw(6, 20)
    left[1, 2], right[3, 17] = np.nan, np.inf
    out = np.empty((5, 20), np.float32)
    product(at(left), 6, 1, at(right), 20, at(out), 20, 5, 6, 20)
    broken = ~np.isfinite(out)
    assert broken[1].all()
    assert broken[:, 17].all()
    assert broken.sum() == 20 + 4


@pytest.mark.parametrize("columns", [5, 8, 30, 41])
def test_a_sliding_product_adds_shifted_products(columns: int) -> None:
    """Three taps over padded rows are a convolution."""
    taps, state = draw(3, 4, 6), draw(4, columns + 2)
    out = np.empty((6, columns), np.float32)
    sliding_product(
        *(at(taps), 1, 6, 24, at(state), columns + 2, 1),
        *(at(out), columns, 6, 4, columns, 3),
    )
    stacked = np.concatenate([state[:, t : t + columns] for t in range(3)])
    close(out, np.concatenate([taps[t].T for t in range(3)], 1), stacked)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (8, 8), (3, 20), (9, 8), (50, 32), (17, 31)])
def test_a_transpose_is_numpys(rows: int, columns: int) -> None:
    x, out = draw(rows, columns), np.empty((columns, rows), np.float32)
    transpose(at(x), rows, columns, at(out))
    assert np.array_equal(out, x.T)
