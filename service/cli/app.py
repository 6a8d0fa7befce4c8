"""The `seedbed` command: every command in its place; `--help` imports nothing heavy."""

import typer

from service.cli import (
    bench,
    catalogue,
    change,
    extend,
    keys,
    operate,
    plan,
    replay,
    report,
    submit,
    sweeps,
)

app = typer.Typer(
    name="seedbed",
    help="Massive random-restart sweeps: how often does training succeed, and what makes it "
    "succeed more often?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="All but serve, api, dispatcher, backup, db, demo and bench speak to a running service "
    "(--url, SEEDBED_URL; with the API key in SEEDBED_KEY, if it asks for one); keys does, or "
    "works on the store itself.",
)

app.command()(operate.serve)
app.command()(operate.api)
app.command()(operate.dispatcher)
app.command()(plan.plan)
app.command()(submit.submit)
app.command()(submit.watch)
app.command()(report.report)
app.command()(report.export)
app.command("list")(sweeps.list_sweeps)
app.command()(sweeps.show)
app.command()(sweeps.pause)
app.command()(sweeps.resume)
app.command()(sweeps.cancel)
app.command()(change.change)
app.command()(extend.extend)
app.command()(sweeps.delete)
app.command()(replay.replay)
app.add_typer(catalogue.presets, name="presets")
app.add_typer(catalogue.experiments, name="experiments")
app.command()(operate.backup)
app.add_typer(operate.db, name="db")
app.add_typer(keys.keys, name="keys")
app.command()(operate.demo)
app.command(context_settings=bench.PASSED_ON)(bench.bench)


def main() -> None:
    """The entry point of the command."""
    app()


if __name__ == "__main__":
    main()
