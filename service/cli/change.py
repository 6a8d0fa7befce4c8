"""`seedbed change`: how a sweep is treated, which moves no trial and no finding."""

from typing import Annotated

import typer

from service.cli.connection import DEFAULT, USAGE, SweepId, Url, connected, fail

Priority = Annotated[
    int | None,
    typer.Option("--priority", min=-100, max=100, help="10 higher is twice the weight."),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="A word to find it by; again for another.")
]
Note = Annotated[str | None, typer.Option("--note", help="What there is to say about it.")]


def change(
    sweep: SweepId,
    *,
    priority: Priority = None,
    label: Labels = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Take all labels away.")] = False,
    note: Note = None,
    url: Url = DEFAULT,
) -> None:
    """Change a sweep's priority, its labels (those given are all it has afterwards) or its note."""
    if label and no_labels:
        fail("--label gives labels and --no-labels takes all away; use one of the two", USAGE)
    if priority is None and not label and not no_labels and note is None:
        fail("say what to change: --priority, --label, --no-labels or --note", USAGE)
    labels = label or ([] if no_labels else None)
    with connected(url) as client:
        found = client.change(sweep, priority=priority, labels=labels, note=note)
    typer.echo(f"{found['id']} {handling(found)}")


def handling(sweep: dict[str, object]) -> str:
    """Its priority, labels and note in one line."""
    labels = sweep["labels"]
    assert isinstance(labels, list)  # noqa: S101 - the service's shape
    parts = [f"priority {sweep['priority']}"]
    parts += [f"labels {', '.join(labels)}"] if labels else []
    parts += [f"note: {sweep['note']}"] if sweep["note"] else []
    return "; ".join(parts)
