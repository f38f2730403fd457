"""The stages that `mine` and `reselect` share: from decided blocks to the finished folder.

Each stage does only what is not there yet. Where a block comes from is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.base.files.part_files import save_arrays, save_table
from hfneg.data.anchors import Anchors
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.unfound import unfound
from hfneg.runs.bars import WRITING, Bars
from hfneg.runs.folder import ledger, mined, rows
from hfneg.runs.folder.form import Summary
from hfneg.runs.folder.plan import Plan
from hfneg.runs.folder.selections import Selections, are_gathered, arrays_of, mark_gathered
from hfneg.runs.folder.work_area import RunFolder
from hfneg.steps.block.block import Block


@dataclass(frozen=True)
class ChosenParts:
    """Where the parts of ledger and selection lie.

    Attributes:
        ledger, selected: folders, with a file per part each.
    """

    ledger: Path
    selected: Path

    @classmethod
    def of(cls, folder: RunFolder) -> ChosenParts:
        return cls(folder.folder("ledger"), folder.folder("selected"))

    def files(self, part: int) -> list[Path]:
        """The two files of a part."""
        return [self.selected / f"{part:06d}.npz", self.ledger / f"{part:06d}.parquet"]

    def write(self, part: int, anchors: Anchors, policy: Policy, block: Block, shortfall: Ints, calls: Ints) -> None:
        """A part of anchors that is decided; `shortfall` and `calls` as in `Selections`."""
        selected, entries = self.files(part)
        save_table(entries, ledger.table(anchors, block))
        arrays = arrays_of(policy.negatives(block), block.verdicts, calls)
        save_arrays(selected, {**arrays, "unfound": unfound(block), "shortfall": np.asarray(shortfall)})


def choose(folder: RunFolder, plan: Plan, decide: Callable[[ChosenParts], int]) -> Selections:
    """All parts of ledger and selection, then both gathered; `decide` writes the parts and says how many there are."""
    gathered = folder.folder("gathered")
    if are_gathered(gathered):
        return Selections(gathered, plan.anchors)
    chosen = ChosenParts.of(folder)
    parts, taught = decide(chosen), plan.policy.teacher is not None
    selections = Selections.gather(chosen.selected, parts, gathered, plan.anchors, taught=taught)
    ledger.compact(sorted(chosen.ledger.glob("*.parquet")), folder.folder("finished", "ledger"))
    mark_gathered(gathered)
    return selections


def write_rows(folder: RunFolder, plan: Plan, selections: Selections, shown: Bars) -> rows.HiddenCount:
    """The shards of all splits, in this process: texts go through as Arrow, so the disk is the limit."""
    data, counts = folder.folder("finished", "data"), folder.folder("counts")
    with shown.bar(WRITING, " rows", sum(plan.rows.values())) as bar:
        for name, split in plan.splits.items():
            writer = rows.RowWriter(plan, selections, split)
            for shard in rows.shards_of(name, plan.rows[name], rows.row_bytes(split, plan.anchors, plan.n)):
                if not rows.is_written(shard, data, counts):
                    writer.write(shard, data, counts)
                bar.update(shard.stop - shard.start)
    return rows.load_counts(sorted(counts.glob("*.json")))


def finish(folder: RunFolder, plan: Plan, summary: Summary) -> None:
    """Recipe and card, then the summary, which says that the folder is whole."""
    finished = folder.folder("finished")
    (finished / "recipe.yaml").write_text(plan.recipe, encoding="utf-8")
    card = mined.card(summary, list(plan.splits), mined.content_digest(finished), finished)
    (finished / "README.md").write_text(card, encoding="utf-8")
    folder.finish(summary)
