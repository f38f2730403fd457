"""`examine`: the teacher's scores of candidates that a run on demand did not need, added to its ledger."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hfneg.base import store
from hfneg.base.arrays import Codes, Mask
from hfneg.base.files import checksums, part_files
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.pipeline.recipe_text import parse_step
from hfneg.runs.folder import fit, ledger, mined as mined_folder, statistics as statistics_of, work_area
from hfneg.runs.folder.form import Summary
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.replay import LedgerScorer, LedgerScores, replayed_policy
from hfneg.runs.reselect import policy_recipe, slots_of
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.block.pool import Pool
from hfneg.steps.scorer import TeacherScorer
from hfneg.steps.teachers.base import Teacher


@store.disk_full_is_said()
def examine(
    mined: str | Path,
    teacher: Teacher | None = None,
    *,
    dropped: bool = False,
    corpus: Any = None,
    trust: bool = False,
    wait: bool = False,
) -> Summary:
    """Have the teacher score the candidates of a mined folder that were not examined, and keep that in its ledger.

    ::

        hfneg.examine("mined/")                     # then reselect, leak_rate and calibrate have what they need
        hfneg.examine("mined/", dropped=True)       # also what the other filters dropped unseen

    The negatives do not change. What the score store has is not asked again; a run that is cut off loses no score, and
    is gone on with by the same call. Each file of the ledger is replaced when its successor is whole.

    Args:
        mined: a folder that `mine` or `reselect` wrote.
        teacher: the one that it was mined with; None: as the folder's recipe says.
        dropped: also candidates that filters dropped without the teacher, which then keep their verdicts.
        corpus: what `mine` was given; needed only where the store no longer has it.
        trust: load a teacher that the folder's recipe imports.
        wait: for the end of another process that writes into the folder, which is refused else.

    Returns:
        The new summary.

    Raises:
        SettingError: the folder was mined without a teacher, or with another one.
        InputError: no mined folder, or without a ledger.
    """
    with mined_folder.writing(mined, wait=wait):
        source = MinedLedger(mined)
        mined_folder.refuse_damaged(source.folder)
        asked = _teacher(source, teacher, trust)
        anchors = reopen_anchors(source, corpus)
        work = _Examination(source, anchors, asked, dropped, trust)
        counts = sum((work.file(path, first) for path, first in source.files()), np.zeros(256, dtype=np.int64))
        return _summarize(source, counts, work.scorer)


def _teacher(source: MinedLedger, given: Teacher | None, trust: bool) -> Teacher:
    if not source.taught:
        raise SettingError(f"{source.folder} was mined without a teacher; mine again with one (teacher=)")
    teacher = parse_step(slots_of(source)["teacher"], trust=trust) if given is None else given
    if not isinstance(teacher, Teacher):
        raise SettingError(f"{teacher!r} is no teacher: expected a teacher such as CrossEncoderTeacher(model)")
    known = source.summary["teacher"]
    if (teacher.digest, teacher.resolved_scale) != (known["digest"], known["scale"]):
        raise SettingError(
            f"{teacher!r} (digest {teacher.digest[:12]}, scale {teacher.resolved_scale!r}) is not the teacher of "
            f"{source.folder}: {known['teacher']} (digest {known['digest'][:12]}, scale {known['scale']!r}); scores of "
            "two teachers cannot be compared"
        )
    return teacher


class _Examination:
    """The work, file by file."""

    def __init__(self, source: MinedLedger, anchors: Anchors, teacher: Teacher, dropped: bool, trust: bool) -> None:
        self.source, self.anchors, self.dropped = source, anchors, dropped
        self.scorer = TeacherScorer(anchors, teacher)
        self.policy = replayed_policy(source, policy_recipe(source, {}, (), trust=trust), anchors)
        self.scores = LedgerScores(source, anchors, self.policy)

    def file(self, path: Path, first: int) -> npt.NDArray[np.int64]:
        """Score and replace one file; int64 [256], its candidates per verdict."""
        counts = np.zeros(256, dtype=np.int64)

        def write(partial: Path) -> None:
            writer = None
            for table, block in self.source.tables_of(path, first):
                examined = self._examined(block)
                np.add(counts, np.bincount(examined.verdicts, minlength=256), out=counts)
                table = ledger.with_scores(table, examined)
                writer = writer or pq.ParquetWriter(partial, table.schema)
                writer.write_table(table)
            if writer is not None:
                writer.close()
            checksums.allow(self.source.folder / checksums.MANIFEST, f"ledger/{path.name}", partial)

        store.replace_file(path, write)
        return counts

    def _examined(self, block: Block) -> Block:
        """With scores of what is wanted, and verdicts on what was not examined."""
        assert block.teacher_scores is not None
        new = block.verdicts == verdicts.NOT_EXAMINED
        wanted = np.isnan(block.teacher_scores) & (new | (self.dropped & (block.verdicts >= verdicts.FIRST_FILTER)))
        scores = block.teacher_scores.copy()
        scores[wanted] = self.scorer.score(block.numbers[block.owners[wanted]], block.rows[wanted])
        block = dataclasses.replace(block, teacher_scores=scores)
        return dataclasses.replace(block, verdicts=np.where(new, self._judged(block, new), block.verdicts))

    def _judged(self, block: Block, new: Mask) -> Codes:
        """uint8 [m]: what the filters that look at the teacher say of what is new; `SPARE` where they keep it."""
        scorer = LedgerScorer(block, self.scores)
        scored = scorer.examined(scorer.opened(block.undecided()), new)
        pool = Pool(self.anchors, scored, scorer.known_positives)
        codes = np.full(len(new), verdicts.SPARE, dtype=np.uint8)
        for i, step in enumerate(self.policy.filters):
            if step.reads_teacher():
                codes[(codes == verdicts.SPARE) & ~step.keep(pool)] = verdicts.FIRST_FILTER + i
        return codes


def _summarize(source: MinedLedger, counts: npt.NDArray[np.int64], scorer: TeacherScorer) -> Summary:
    """The summary and the card with the new counts; the summary last."""
    before = source.summary
    found = {name: int(counts[code]) for code, name in source.verdict_names.items()}
    summary, asked = before.copy(), before["teacher"].copy()
    asked["candidates_not_examined"] = found["not_examined"]
    asked["pairs_asked"] += scorer.asked
    asked["pairs_from_store"] += scorer.stored
    if asked.get("asks_positives", True):
        asked["fit"] = fit.measured(source.folder / "ledger", source.names)
        fit.say(asked["fit"], source.names)
    summary["verdicts"], summary["teacher"] = found, asked
    digest = mined_folder.content_digest(source.folder)
    text = mined_folder.card(summary, list(summary["rows"]), digest, source.folder)
    store.replace_file(source.folder / "README.md", lambda path: path.write_text(text, encoding="utf-8"))
    part_files.save_facts(source.folder / work_area.SUMMARY, summary)
    checksums.settle(source.folder / checksums.MANIFEST, source.folder)
    statistics_of.write(source.folder)
    return summary
