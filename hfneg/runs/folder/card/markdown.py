"""Texts of others inside Markdown: shown as they are, whatever they are."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = re.compile(r"[&\\`*_\[\]|<>#~$]|:(?=[\w+-]+:)")  # the last: names of emoji
_HIDDEN = ("Cc", "Cf", "Cs")
"""Control characters and those that turn the direction of a line; joiners (ZWJ, ZWNJ) belong to words and emoji."""
_JOINERS = "\u200c\u200d"


def one_line(text: object) -> str:
    """White space collapsed, and without characters that cannot be seen."""
    words = " ".join(str(text).split())
    return "".join(c for c in words if c in _JOINERS or unicodedata.category(c) not in _HIDDEN)


def escaped(text: object) -> str:
    """One line that is read neither as Markdown nor as HTML, in a table too; each character is escaped once."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", one_line(text))


def in_code(text: object) -> str:
    """``text`` as a code span, also where it holds backticks."""
    line = one_line(text)
    fence = "`" * (_longest_run(line) + 1)
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{gap}{line}{gap}{fence}"


def in_code_cell(text: object) -> str:
    """A code span inside a table, where a bar ends a cell even in code."""
    return in_code(text).replace("|", "\\|")


def block(text: str, language: str = "") -> str:
    """A fenced block whose fence is longer than any inside."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
