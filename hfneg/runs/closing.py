"""The last line of `hfneg.mine`: what there is now, and where; for a log, or a terminal that shows progress bars."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from hfneg.base.plain_text import plain
from hfneg.runs.folder import statistics as statistics_of
from hfneg.runs.folder.judgement import false_ones, why_short
from hfneg.runs.folder.ledger_files import MinedLedger

log = logging.getLogger(__name__)

_told_elsewhere: ContextVar[bool] = ContextVar("hfneg_told_elsewhere", default=False)


@contextmanager
def told_elsewhere() -> Iterator[None]:
    """For callers that say more themselves."""
    token = _told_elsewhere.set(True)
    try:
        yield
    finally:
        _told_elsewhere.reset(token)


def say(folder: Path) -> None:
    """To the log; where nobody listens there, below the progress bars, which a script that is piped does not have."""
    if _told_elsewhere.get():
        return
    if log.isEnabledFor(logging.INFO):
        log.info("%s", in_one_line(folder))
    elif _shows_bars():
        sys.stderr.write(f"{in_one_line(folder)}\n")


def in_one_line(folder: Path) -> str:
    """What there is, how many anchors are short and why, how false it is, and where to look."""
    ledger = MinedLedger(folder)
    statistics, place = statistics_of.of(ledger), plain(str(folder))
    short = f"; too little survived for {statistics.short:,} ({why_short(statistics)})" if statistics.short else ""
    false = false_ones(ledger.summary, statistics).text or "how many are false is not measured (hfneg calibrate)"
    return (
        f"{statistics.negatives:,} hard negatives for {statistics.anchors:,} anchors in {place}{short}; {false}. "
        "Next: hfneg.formats.tuples(mined) to train with, hfneg show to look at them"
    )


def _shows_bars() -> bool:
    from datasets.utils import are_progress_bars_disabled

    return sys.stderr is not None and sys.stderr.isatty() and not are_progress_bars_disabled()
