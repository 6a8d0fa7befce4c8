"""The tables of docs/bench.md; a refused row shows its reason and never a number."""

from collections.abc import Sequence

from tests.benchmarks import campaign as names
from tests.benchmarks.row import Results, Row
from tests.benchmarks.summary import median, p95, ratio

PLAIN, JAX = "plain loop", "JAX vmap"
Lines = list[str]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    """A Markdown table: words to the left, all else to the right."""
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    lines += [" | ".join(row) for row in rows]
    return [f"| {line} |" for line in lines]


def training(group: str, rows: Sequence[Row]) -> Lines:
    """One workload: every system on one core."""
    head = (
        "one core", "lanes", "lane-steps/s", "ms a step of a lane", "p95", "ms an evaluation",
        "x plain loop", "x JAX vmap", "start-up s",
    )  # fmt: skip
    by_name = {row.name: row for row in rows}
    body = [
        (
            row.name,
            str(row.arguments["lanes"]),
            f"{median(row.column('rate')):,.0f}",
            f"{1e3 * median(row.column('train_s')):.3f}",
            f"{1e3 * p95(row.column('train_s')):.3f}",
            f"{1e3 * median(row.column('evaluate_s')):.2f}",
            _times(row, by_name.get(PLAIN)),
            _times(row, by_name.get(JAX)),
            f"{median(row.column('start_s')):.1f}",
        )
        for row in _sound(rows)
    ]
    return [f"## {group}", "", *table(head, body), *_refused(rows)]


def roof(results: Results) -> Lines:
    """What the products and the noise alone would take, and the engine's share of it."""
    roofs = results.group(names.ROOF)
    if not roofs:
        return []
    engines = {row.group: row for row in results.rows if row.name == names.ENGINE}
    body = []
    for row in _sound(roofs):
        engine = engines.get(row.name)
        share = "-"
        if engine and engine.samples and engine.refused is None:
            trained = [1.0 / s for s in engine.column("train_s")]
            share = f"{100 * ratio(trained, row.column('rate')):.0f} %"
        parts = [1e3 * median(row.column(f"{p}_s")) for p in ("forward", "weights", "inputs")]
        body.append(
            (
                row.name,
                *(f"{part:.3f}" for part in parts),
                f"{1e3 * median(row.column('noise_s')):.3f}",
                f"{median(row.column('normal_ns')):.2f}",
                f"{median(row.column('rate')):,.0f}",
                share,
            )
        )
    head = (
        "ms a step of a lane", "forward", "dW", "dX", "noise", "ns a normal", "roof, lane-steps/s",
        "engine",
    )  # fmt: skip
    return [
        "## Roof",
        "",
        (
            "torch.bmm at the program's own shapes, and 88,210 numbers of normal_, and nothing "
            "else: what a program of torch's kernels cannot pass. The engine multiplies small "
            "matrices and draws numbers itself, so its share may be above 100 %. It is of its "
            "training alone, without evaluations."
        ),
        "",
        *table(head, body),
        *_refused(roofs),
    ]


def pack(rows: Sequence[Row]) -> Lines:
    """Scaling to two cores, and how full a pack stays."""
    lines: Lines = []
    for row in _sound(rows):
        if row.name == names.SCALING:
            one, two = median(row.column("one")), median(row.column("two"))
            lines.append(
                f"- {row.name}: {one:,.0f} and {two:,.0f} lane-steps/s, "
                f"{median(row.column('ratio')):.2f} times ({row.arguments['workload']})"
            )
        if row.name == names.OCCUPANCY:
            last = row.samples[-1]
            lines.append(
                f"- {row.name}: {100 * median(row.column('occupancy')):.1f} % of {last['lanes']} "
                f"lanes useful until the queue is empty, "
                f"{100 * median(row.column('with_tail')):.1f} % with the last lanes' end, "
                f"{100 * median(row.column('pace')):.1f} % of the full pack's pace; "
                f"{last['trials']} trials whose ends have 10th, 50th and 90th percentile at steps "
                f"{', '.join(map(str, last['steps']))}"
            )
    return ["## Scaling and occupancy", "", *lines, *_refused(rows)] if rows else []


def sweeps(rows: Sequence[Row]) -> Lines:
    """Whole sweeps, from submission to the last outcome."""
    if not rows:
        return []
    ours = next((row for row in rows if row.name == names.SEEDBED), None)
    head = ("all cores", "trials/s", "trials", "seconds", "Seedbed x", "start-up s")
    body = [
        (
            row.name,
            f"{median(row.column('rate')):.2f}",
            " and ".join(map(str, row.arguments["trials"])),
            " and ".join(f"{median([s['seconds'][i] for s in row.samples]):.1f}" for i in (0, 1)),
            _times(ours, row),
            f"{median(row.column('start_s')):.1f}",
        )
        for row in _sound(rows)
    ]
    steps = rows[0].arguments["steps"]
    return [
        "## Whole sweep",
        "",
        (
            f"deep_mlp with noise, {steps} steps a trial and one evaluation, from submission to "
            "the last outcome. Rates are marginal, (N2 - N1) / (T2 - T1)."
        ),
        "",
        *table(head, body),
        *_refused(rows),
    ]


def control(results: Results) -> Lines:
    """The rows of the control plane, or that there are none yet."""
    lines = ["## Control plane", ""]
    if results.control is None:
        return [*lines, "not built"]
    body = [
        (str(r["name"]), f"{r['value']:,.4g}", str(r["unit"]), str(r.get("note", "")))
        for r in results.control
    ]
    return [*lines, *table(("row", "value", "unit", "note"), body)]


def widths(rows: Sequence[Row]) -> Lines:
    """What the search for the best width saw."""
    searched = [row for row in rows if len(row.curve) > 1]
    if not searched:
        return []
    widths = sorted({int(w) for row in searched for w in row.curve})
    body = [
        (
            f"{row.group}: {row.name}",
            *(f"{row.curve[str(w)]:,.0f}" if str(w) in row.curve else "-" for w in widths),
        )
        for row in searched
    ]
    return [
        "## Lane-steps/s at each width",
        "",
        *table(("best of three short tries", *map(str, widths)), body),
    ]


def _sound(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.refused is None and row.samples]


def _refused(rows: Sequence[Row]) -> Lines:
    found = [f"- {row.name}: **refused**: {row.refused}" for row in rows if row.refused]
    return ["", *found] if found else []


def _times(ours: Row | None, theirs: Row | None) -> str:
    """How many times theirs ours is."""
    if not ours or not theirs or not _sound([ours]) or not _sound([theirs]):
        return "-"
    return f"{ratio(ours.column('rate'), theirs.column('rate')):.2f}"
