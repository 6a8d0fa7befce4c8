"""What is deferred is taken apart by sweep, and knows what it was told with."""

from service.dispatch.deferred import Lost, ended
from workers.messages import Failure, Return


def test_of_an_answer_that_is_refused_all_were_together() -> None:
    """A trial that was told of beside another sweep's does not count as one that was lost alone."""
    answer = Return(
        outcomes=(), failures=tuple(Failure(n, 1, "E: x", "trace") for n in (1, 2)), dropped=()
    )
    found = [each.refused() for each in ended("w", "c", {1: "a", 2: "b"}, answer)]
    assert found == [Lost("a", "w", ((1, 1),), 2), Lost("b", "w", ((2, 1),), 2)]
