"""The page of a study: the paper's numbers beside ours, and where the two set-ups differ."""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from service.presets import Preset
from service.report.figures.draw import svg
from service.report.figures.figure import NotDrawn
from service.report.figures.rates import rates
from service.study.archive import Archive

COMMAND = "make results"


def write(
    folder: Path, preset: Preset, report: Mapping[str, Any], text: str, kept: Archive
) -> None:
    """Writes README.md, report.md, findings.json, spec.yaml and figure.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = yaml.safe_dump(dict(kept.spec), sort_keys=False, allow_unicode=True)
    (folder / "spec.yaml").write_text(spec)
    (folder / "report.md").write_text(text)
    findings = {key: report[key] for key in ("findings", "findings_hash")}  # no worker's name
    (folder / "findings.json").write_text(json.dumps(findings, indent=1, sort_keys=True) + "\n")
    (folder / "figure.svg").write_text(figure(report["findings"]))
    (folder / "README.md").write_text(readme(preset, report["findings"], kept))


def readme(preset: Preset, findings: Mapping[str, Any], kept: Archive) -> str:
    """Markdown."""
    primary = next(c for c in findings["criteria"] if c["primary"])
    metric = primary["metric"]
    rows = []
    finals = {arm["arm"]: arm["metrics"].get(metric, {}) for arm in findings["arms"]}
    for arm in primary["arms"]:
        final = finals[arm["arm"]]
        values = " | ".join(_number(final.get(part)) for part in ("mean", "lowest", "highest"))
        rows.append(f"| {arm['arm']} | {arm['successes']} / {arm['n']} | {values} |")
    made = (
        f"Made by `{COMMAND}`: {len(kept.records):,} trials in {kept.seconds / 60:.0f} minutes on "
        f"this project's 2-core machine, by code {kept.numerics.get('code')}. The whole report is "
        "in report.md, the spec in spec.yaml, every outcome in outcomes.parquet."
    )
    sign = ">=" if primary["comparison"] == "at_least" else "<="
    lines = [
        f"# {preset.title}",
        "",
        *textwrap.wrap(preset.about, 120),
        "",
        made,
        "",
        "![rates with intervals](figure.svg)",
        "",
        "## Ours",
        "",
        f"| arm | {metric} {sign} {primary['threshold']:g} | mean | lowest | highest |",
        "|---|---:|---:|---:|---:|",
        *rows,
        "",
    ]
    if preset.paper:
        lines += [
            "## The paper's",
            "",
            "```",
            *preset.numbers.rstrip().splitlines(),
            "```",
            "",
            "## What is the paper's, and what is not",
            "",
            *textwrap.wrap("The paper's: " + preset.paper, 120),
            "",
            *textwrap.wrap("Chosen here: " + preset.ours, 120),
            "",
        ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def figure(findings: Mapping[str, Any]) -> str:
    """Rates with their intervals, as SVG drawn offline: the report's own figure.

    Raises:
        ValueError: nothing is settled.
    """
    found = rates(findings)
    if isinstance(found, NotDrawn):
        raise ValueError(  # noqa: TRY004 - what is wrong is what the findings say
            f"the study has no figure: {found.reason}; let it settle a cohort first"
        )
    return svg(found, titled=True)
