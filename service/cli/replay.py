"""`seedbed replay`: trials run again, alone, and compared to the bit."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.connection import DEFAULT, REFUSED, USAGE, Url, connected, fail

if TYPE_CHECKING:
    from service.client import Client

#: a sweep's id is longer than any trial's
_SWEEP_ID = 23
_POLL_S = 0.5
_OVER = ("done", "failed")


def replay(
    name: Annotated[str, typer.Argument(metavar="ID", help="A trial's id, or a sweep's.")],
    sample: Annotated[
        float | None,
        typer.Option("--sample", min=0.0, max=1.0, help="Of a sweep, this share of its trials."),
    ] = None,
    *,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for what comes of it.")
    ] = True,
    url: Url = DEFAULT,
) -> None:
    """Run ended trials again, alone, and compare weights and metrics to the bit."""
    is_trial = name.isdecimal() and len(name) < _SWEEP_ID
    if is_trial and sample is not None:
        fail("--sample is a share of a sweep's trials; a trial is run again whole", USAGE)
    if not is_trial and not sample:
        fail("a sweep needs --sample, the share of its trials to run again, e.g. 0.001", USAGE)
    with connected(url) as client:
        if is_trial:
            asked = client.replay(int(name))
            sweep, chosen = asked["sweep"], {asked["id"]}
        else:
            assert sample is not None  # noqa: S101 - judged above
            sweep, chosen = name, set(client.replay_sample(name, sample)["replays"])
        typer.echo(
            f"{len(chosen)} {'replay' if len(chosen) == 1 else 'replays'} asked for", err=True
        )
        if wait:
            _report(_await(client, sweep, chosen))


def _await(client: "Client", sweep: str, asked: set[int]) -> list[dict[str, Any]]:
    """These replays, once they are over; they begin when workers have nothing else to do."""
    while True:
        found = [item for item in client.replays(sweep) if item["id"] in asked]
        if all(item["state"] in _OVER for item in found):
            return found
        time.sleep(_POLL_S)


def _report(found: list[dict[str, Any]]) -> None:
    equal = sum(bool(item["equal"]) for item in found)
    for item in found:
        if item["equal"] is False:
            typer.echo(
                f"trial {item['trial']} differs in its {item['differs']}: recorded by "
                f"{item['recorded_by']}, run again by {item['worker']}"
            )
        elif item["state"] == "failed":
            typer.echo(f"trial {item['trial']} was not compared: {item['error']}")
    typer.echo(f"{equal} of {len(found)} replays are equal to the bit")
    if equal < len(found):
        raise typer.Exit(REFUSED)
