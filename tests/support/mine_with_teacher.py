"""Run by tests as a process of its own: `hfneg.mine` with `WordTeacher`, in small parts and small blocks.

Arguments: the folder to write, then devices. It resumes what is there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from small_collection import documents, pairs
from word_teacher import WordTeacher

import hfneg
from hfneg.runs import units
from hfneg.steps import scorer as scoring

if __name__ in ("__main__", "__mp_main__"):  # run as a script, or in its workers; not where a test imports the recipe
    units.PART = 8
    scoring.BLOCK = 16

RECIPE = hfneg.Recipe(
    k=12,
    teacher=WordTeacher(),
    filters=[hfneg.Margin(relative=0.1, against="mean"), hfneg.RankWindow(skip=1)],
    sampler=hfneg.TakeTop(3),
)

if __name__ == "__main__":
    hfneg.mine(
        pairs(),
        documents(),
        RECIPE,
        anchor="query",
        positive="answer",
        out=Path(sys.argv[1]),
        devices=sys.argv[2:] or None,
        resume=True,
    )
