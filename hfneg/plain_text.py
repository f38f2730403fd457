"""Texts of users' data, for the terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


def plain(text: str) -> str:
    """On one line, and nothing in it that a terminal obeys; a title stands before a colon."""
    title, _, body = text.partition("\n")
    return _CONTROL.sub(" ", f"{title}: {body}" if body else title).strip()
