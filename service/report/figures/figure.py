"""A figure: what is drawn, what it is called and what its caption says; or why there is none."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One picture.

    Attributes:
        name: what it is asked for by.
        title: one line.
        caption: what is drawn, of how many trials, by which method.
        chart: its Vega-Lite specification, without title.
    """

    name: str
    title: str
    caption: str
    chart: dict[str, Any]


@dataclass(frozen=True)
class NotDrawn:
    """A figure that this sweep does not have.

    Attributes:
        name: what it was asked for by.
        reason: why, as the end of "it is not drawn: ...".
    """

    name: str
    reason: str
