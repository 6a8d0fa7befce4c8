"""What of a bundle is hashed, and its hash: the same for the same sweep on any machine.

Hashed are files whose bytes follow from the findings by our own code alone. They hold the outcomes
too: the findings name the hash of the outcomes' canonical form, which the notebook recomputes from
the Parquet file. What other programs draw or encode (pyarrow, vl-convert, the fonts of a machine)
and the run log are in the bundle and outside its hash (docs/adr).
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from service.report.canonical import canonical

SUMS = "SHA256SUMS"
_HERE = Path(__file__).parent


def hashed_files(findings: Mapping[str, Any]) -> dict[str, bytes]:
    """Name -> content of the files that the hash is over.

    `findings.json` is canonical JSON and nothing else, so that its SHA-256 is the findings' hash.
    `spec.json` keeps the order of its keys: submitted again it gives the same findings.
    """
    return {
        "README.md": _readme(),
        "findings.json": canonical(findings),
        "recompute.ipynb": notebook(),
        "spec.json": (json.dumps(findings["spec"], indent=1, ensure_ascii=False) + "\n").encode(),
    }


def sums(findings: Mapping[str, Any]) -> bytes:
    """The content of SHA256SUMS, as `sha256sum -c` reads it."""
    files = sorted(hashed_files(findings).items())
    return "".join(f"{hashlib.sha256(b).hexdigest()}  {name}\n" for name, b in files).encode()


def bundle_hash(findings: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of SHA256SUMS: what a paper cites."""
    return hashlib.sha256(sums(findings)).hexdigest()


@cache
def notebook() -> bytes:
    """The notebook: recompute.py, whose cells `# %%` parts, in Jupyter's format 4.5."""
    cells = []
    for number, part in enumerate(
        (_HERE / "notebook" / "recompute.py").read_text().split("# %%")[1:]
    ):
        kind, _, text = part.partition("\n")
        markdown = kind.strip() == "[markdown]"
        lines = text.strip().splitlines(keepends=True)
        if markdown:
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        cell: dict[str, Any] = {
            "cell_type": "markdown" if markdown else "code",
            "id": f"cell-{number}",
            "metadata": {},
            "source": lines,
        }
        if not markdown:
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


@cache
def _readme() -> bytes:
    return (_HERE / "README.md").read_bytes()
