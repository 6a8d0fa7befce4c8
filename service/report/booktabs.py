"""Text and tables of LaTeX, with booktabs."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\ it would begin a length
    "]": "{]}",
    "*": "{*}",  # after \\ it would be its star
}


#: signs that a font would draw as one, such as -- as a dash
_LIGATURE = re.compile(r"([-,'?!])(?=[-,'])")


def escaped(value: object) -> str:
    """Text that LaTeX prints as it is; control characters are left out."""
    kept = (c for c in str(value) if unicodedata.category(c)[0] != "C" or c == " ")
    return _LIGATURE.sub(r"\1{}", "".join(_SPECIAL.get(c, c) for c in kept))


def table(
    columns: str, heading: Sequence[str], rows: Iterable[Sequence[str]], caption: str, label: str
) -> str:
    """A table that fits a page."""
    return "\n".join(
        [
            "\\begin{table}[t]",
            "  \\centering",
            f"  \\caption{{{caption}}}",
            f"  \\label{{tab:seedbed-{label}}}",
            f"  \\begin{{tabular}}{{{columns}}}",
            "    \\toprule",
            f"    {' & '.join(heading)} \\\\",
            "    \\midrule",
            *(_row(row) for row in rows),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def long_table(
    columns: str, heading: Sequence[str], rows: Iterable[Sequence[str]], caption: str, label: str
) -> str:
    """A table that goes on over pages."""
    return "\n".join(
        [
            f"\\begin{{longtable}}{{{columns}}}",
            f"  \\caption{{{caption}}}\\label{{tab:seedbed-{label}}} \\\\",
            "    \\toprule",
            f"    {' & '.join(heading)} \\\\",
            "    \\midrule",
            "    \\endhead",
            "    \\bottomrule",
            "    \\endlastfoot",
            *(_row(row) for row in rows),
            "\\end{longtable}",
            "",
        ]
    )


def _row(row: Sequence[str]) -> str:
    """An empty row is a rule between groups."""
    return f"    {' & '.join(row)} \\\\" if row else "    \\midrule"
