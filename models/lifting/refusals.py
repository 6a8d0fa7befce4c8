"""Refusals of a network that cannot be lifted, each in three parts: what, why, what to do."""

from dataclasses import dataclass


class LiftError(Exception):
    """A network would break a promise if it were lifted; the message says how to mend it."""


@dataclass(frozen=True)
class Refusal:
    """What vmap says (torch 2.13), and how we say it: what happened, why not, what to do."""

    words: tuple[str, ...]
    what: str
    why: str
    cure: str


_KNOWN = (
    Refusal(
        words=("randomness", "random operation"),
        what="draws random numbers",
        why="lanes would share them, or a trial's numbers would depend on its neighbours",
        cure="drop units in training with nn.Dropout, evaluate through Stateless.predict, and draw "
        "anything else in batch() or held_out() from the generator that they are given",
    ),
    Refusal(
        words=("inplace", "in-place", "doesn't match the broadcast shape"),
        what="writes in place to a tensor that all lanes share",
        why="one lane would overwrite another's numbers",
        cure="write x = x + y instead of x += y, and torch.where instead of x[mask] = y",
    ),
    Refusal(
        words=(".item()", "data-dependent"),
        what="reads a tensor's value in Python",
        why="the lanes of a tile run as one program and may not branch apart",
        cure="choose with torch.where, and take sizes and switches from shared hyper-parameters",
    ),
    Refusal(
        words=("dynamic", "nonzero", "masked_select"),
        what="makes a tensor whose shape depends on values",
        why="the lanes of a tile have one shape",
        cure="multiply by a mask of fixed shape instead of selecting",
    ),
)


def explained(error: Exception, *, network: str, where: str) -> LiftError:
    """What vmap refused, in our words; anything that it does not know is quoted.

    Args:
        error: what torch raised.
        network: name of the user's class.
        where: the method that raised, such as "loss".
    """
    text = str(error)
    low = text.lower()
    for known in _KNOWN:
        if any(word in low for word in known.words):
            return LiftError(
                f"{network}.{where} {known.what}; {known.why}; {known.cure} (torch: {_first(text)})"
            )
    return LiftError(
        f"{network}.{where} runs for one network but not under torch.func.vmap; a lifted network "
        "is made of operations that vmap can batch; rewrite the one that it names, or write the "
        f"program lane-first (models.program.Program) (torch: {_first(text)})"
    )


def _first(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no message"
