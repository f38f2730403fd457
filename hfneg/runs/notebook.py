"""What a notebook shows of mined rows: an anchor, its positives, its negatives, and the rejected with reasons."""

from __future__ import annotations

from pathlib import Path

from hfneg.base import html
from hfneg.base.plain_text import plain
from hfneg.errors import HfnegError
from hfneg.runs.folder.browse import CHOSEN, Document, ShownAnchor, browse
from hfneg.steps.filters import meaning_of

POSITIVE, NEGATIVE, REJECTED = "color:#00785a", "", "color:#b84a00"


class InNotebook:
    """The ``_repr_html_`` of rows that were opened from a mined folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> str | None:
        """None, and so the usual text, where the folder is gone or cannot be read any more."""
        try:
            anchor = max(browse(self.folder).anchors, key=_tells)
        except (HfnegError, OSError, ValueError):
            return None
        shown = [("positive", each, POSITIVE) for each in anchor.positives]
        shown += [
            (_what(each.verdict), each, NEGATIVE if each.verdict in CHOSEN else REJECTED) for each in anchor.candidates
        ]
        rows = [(what, _text(each), "+".join(each.sources), _number(each.score)) for what, each, _ in shown]
        title = f"{plain(anchor.text)} (an anchor of {self.folder}; hfneg show {self.folder} has the others)"
        return html.table(title, ("", "document", "found by", "score"), rows, [style for _, _, style in shown])


def _tells(anchor: ShownAnchor) -> int:
    """How much there is to see: negatives, and rejected candidates."""
    return len({each.verdict in CHOSEN for each in anchor.candidates})


def _what(verdict: str) -> str:
    return "negative" if verdict == "selected" else f"{verdict}: {meaning_of(verdict)}"


def _text(document: Document) -> str:
    return document.id if document.text is None else plain(document.text)[: html.MOST]


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.4g}"
