"""Two sweeps compared: pairs that they share, and evidence of pairs that they do not."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.api import shapes
from service.api.state import Reading
from service.errors import ProblemError
from service.report.comparison import compare
from service.report.shared import ChoiceError

router = APIRouter(tags=["report"])


@router.get("/sweeps/{sweep}/compare", responses={200: {"model": shapes.Comparison}})
def comparison(
    sweep: str,
    session: Reading,
    other: Annotated[str, Query(alias="with", description="id of the other sweep")],
    arm: Annotated[str | None, Query(description="of this sweep")] = None,
    against: Annotated[str | None, Query(description="arm of the other sweep")] = None,
    metric: str | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """An arm here against an arm there on the pairs of both, and both sweeps' e-values multiplied.

    Over settled cohorts. `paired` is of one root, equal settings and budgets, `merged` of sweeps
    that share no pair and declare the same primary contrast; `not_possible` says why one is
    missing. An arm need not be named where a sweep has one. `metric` and `threshold` narrow
    the criteria, which are all that both sweeps have.
    """
    try:
        return compare(
            session,
            sweep,
            other,
            arm=arm,
            against=against,
            metric=metric,
            threshold=threshold,
        )
    except ChoiceError as error:
        detail = f"sweeps {sweep} and {other} are not compared like this"
        raise ProblemError(422, detail, "mend what errors lists", error.problems) from error
