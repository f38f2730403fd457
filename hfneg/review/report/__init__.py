"""`report`: one page about a mined folder, that opens anywhere and loads nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.settings import is_seed, is_whole, shown as shown_value
from hfneg.errors import OutputError, OutputExistsError, SettingError
from hfneg.review.diff.diff import diff
from hfneg.review.report import page
from hfneg.runs.folder import statistics as statistics_of
from hfneg.runs.folder.browse import entries
from hfneg.runs.folder.browse.chosen import choose
from hfneg.runs.folder.browse.texts import open_documents
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.steps.block.block import Block

MOST = 2000
"""Anchors of a sample."""


@store.disk_full_is_said()
def report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    sample: int = 200,
    seed: int = 0,
    against: str | Path | None = None,
    corpus: Any = None,
    overwrite: bool = False,
) -> Path:
    """Write one self-contained HTML page about a mined folder; returns its path.

    >>> hfneg.report("mined/")  # mined-report.html  # doctest: +SKIP

    Args:
        folder: what `mine` wrote. Its ledger is read once, block by block, whatever its size.
        out: the file to write; without it one beside `folder`, with its name and ``-report.html``. An earlier report
            of a folder of this name is replaced, any other file is not.
        sample: how many anchors can be browsed, at most 2,000. They are drawn by a hash of their texts, so that the
            reports of several rounds show the same anchors.
        seed: of the draw.
        against: an earlier round, to say what changed since; see `diff`.
        corpus: what `mine` was given, where the store no longer has it; without it the page shows the texts that the
            mined rows hold.
        overwrite: replace `out`, whatever it is.

    Raises InputError where `folder` is not mined; OutputError where `out` cannot be written.
    """
    if not is_whole(sample, 1) or sample > MOST:
        raise SettingError(f"report(sample={sample!r}): expected how many anchors to show, 1 to {MOST}")
    if not is_seed(seed):
        raise SettingError(f"report(seed={shown_value(seed)}): expected a whole number, 0 or more")
    ledger = MinedLedger(folder)
    path = _writable(_beside(folder) if out is None else out, folder, overwrite)
    found = None if against is None else diff(against, folder)
    chosen = choose(ledger, sample, seed)
    blocks: list[Block] = []

    def look(block: Block) -> None:
        at = np.flatnonzero(np.isin(block.numbers, chosen.numbers))
        if len(at):
            blocks.append(block.take(at))

    statistics = statistics_of.of(ledger, look)
    documents = open_documents(ledger, corpus, chosen, blocks)
    shown, length = entries.sample(ledger, chosen, blocks, documents)
    words = _words(len(shown["entries"]), len(ledger), seed, length)
    text = page.render(ledger, statistics, shown, documents, words, found)
    try:
        store.replace_file(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; give another file") from error
    return path


def _words(shown: int, anchors: int, seed: int, length: int) -> str:
    """How the sample was made."""
    drawn = (
        f"All {anchors:,} anchors"
        if shown == anchors
        else f"A sample: {shown:,} of {anchors:,} anchors, drawn by a hash of their texts (seed {seed}); another round "
        "over the same pairs shows the same ones"
    )
    cut = f" Texts are cut to {length:,} characters to keep the page small." if length < entries.LENGTHS[0] else ""
    return f"{drawn}. Of each: its positives, its negatives, and what was rejected, with the reason.{cut}"


def _beside(folder: str | Path) -> Path:
    """The page of a folder; of one in the store, where nothing may lie beside it, in the current directory."""
    of = Path(folder).resolve()
    name = f"{of.name}-report.html"
    if of.is_relative_to(store.root()):
        return Path(name)
    return (Path(folder) if Path(folder).name not in ("", "..") else of).with_name(name)


def _writable(out: str | Path, folder: str | Path, overwrite: bool) -> Path:
    """Refused before any work."""
    path = Path(out)
    if not str(out) or path.is_dir():
        raise OutputError(f"out={str(out)!r} is a folder; give a file such as report.html")
    if path.exists() and not overwrite and not _is_report_of(path, Path(folder).resolve().name):
        raise OutputExistsError(
            f"{path} is there already, and is no report of this folder; say overwrite to replace it"
        )
    if not path.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {path.absolute().parent}; make it, or give another file")
    return path


def _is_report_of(path: Path, name: str) -> bool:
    """Whether `report` wrote the file, of a folder with this name."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return page.head_of(name).encode() in head and b'<meta name="generator" content="hfneg ' in head
