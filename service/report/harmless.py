"""Names and values from outside, made harmless where a report prints them."""

import re

#: what Markdown reads as markup; an underscore only at the edge of a word
_MARKUP = re.compile(r"[\\`*\[\]<>|]|(?<![A-Za-z0-9_])_|_(?![A-Za-z0-9_])")


def in_markdown(value: object) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return _MARKUP.sub(lambda found: "\\" + found[0], str(value))


def in_spreadsheet(value: object) -> object:
    """A text that a spreadsheet would run as a formula is kept as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value
