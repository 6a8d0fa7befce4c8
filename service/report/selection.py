"""The best of many cells: its rate is too good on average, because it was selected for it."""

from collections.abc import Mapping, Sequence
from typing import Any


def best_cell(cells: Sequence[Mapping[str, Any]], arms: int) -> dict[str, Any] | None:
    """The cell of the highest rate, marked as selected; None where a cell is an arm.

    Of cells that share the highest rate the one of most trials, then the first, is named.

    Args:
        cells: as in the findings.
        arms: how many there are.
    """
    known = [cell for cell in cells if cell["n"]]
    if len(cells) <= arms or not known:
        return None
    best = max(known, key=lambda cell: (cell["rate"], cell["n"]))
    return {key: value for key, value in best.items() if key != "end_states"} | {
        "selected_of": len(known),
        "as_good": sum(cell["rate"] == best["rate"] for cell in known) - 1,
        "note": (
            f"selected as the best of {len(known)} cells, so that its rate and interval are too "
            "high on average; confirm on fresh seeds"
        ),
    }
