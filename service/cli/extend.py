"""`seedbed extend`: a finished sweep gets more seeds, settings or an arm."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is fast

from typing import Annotated, Any

import typer

from service.cli.connection import DEFAULT, USAGE, SweepId, Url, connected, fail


def extend(
    sweep: SweepId,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE...]", help="The new arm's overrides, after --arm."),
    ] = None,
    *,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="So many seeds a cell, in all.")
    ] = None,
    arm: Annotated[str | None, typer.Option("--arm", help="The name of a new arm.")] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="KEY=V1,V2", help="Further values of a key of the grid."),
    ] = None,
    url: Url = DEFAULT,
) -> None:
    """Extend a finished sweep: only what is missing runs, and repeating it adds nothing."""
    if seeds is None and arm is None and not grid:
        fail("say what to add: --seeds N, --arm NAME KEY=VALUE..., or --grid KEY=V1,V2", USAGE)
    if overrides and arm is None:
        fail(f"{overrides[0]!r} is of no arm; name the arm with --arm NAME before it", USAGE)
    with connected(url) as client:
        arms = None if arm is None else {arm: {k: _value(v) for k, v in _parts(overrides or [])}}
        settings = {key: [_value(v) for v in text.split(",")] for key, text in _parts(grid or [])}
        found = client.extend(sweep, seeds=seeds, arms=arms, grid=settings or None)
    left = found["trials"] - found["progress"]["ended"]
    typer.echo(f"{found['id']} {found['state']}: {left} of {found['trials']} trials to run")


def _parts(given: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals or not value:
            fail(f"{text!r} is no KEY=VALUE; write it as learning_rate=0.1", USAGE)
        if key in {k for k, _ in found}:
            fail(f"{key} is given twice; give it once", USAGE)
        found.append((key, value))
    return found


def _value(text: str) -> Any:
    """A value as a spec in YAML has it: 0.1, 3, true, or a word."""
    from service.client.spec_file import value

    return value(text)
