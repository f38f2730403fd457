"""Texts of users' data, and counts, as they are shown to people."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


def plain(text: str) -> str:
    """On one line, and nothing in it that a terminal obeys; a title stands before a colon."""
    title, _, body = text.partition("\n")
    return _CONTROL.sub(" ", f"{title}: {body}" if body else title).strip()


def several(count: int, what: str) -> str:
    """ "1 anchor", "1,200 anchors" """
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
