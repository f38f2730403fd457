"""What ``summary.json`` says of a run: its counts, its sources, and what it depended on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfneg import __version__
from hfneg.pipeline.mine import Mine
from hfneg.pipeline.recipe import Recipe
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.folder.provenance import library_versions, models_of
from hfneg.runs.folder.rows import HiddenCount
from hfneg.runs.folder.selections import Selections
from hfneg.steps import guard_takes

log = logging.getLogger(__name__)


def summarize(
    transform: Mine,
    recipe: Recipe,
    selections: Selections,
    rows: Mapping[str, int],
    hidden: HiddenCount | None,
    ledger: Path,
) -> dict[str, Any]:
    """The facts of a finished run.

    `rows` are counted by split, `hidden` is there where a column was hidden, `ledger` is the folder of its files.
    """
    names, anchors = transform.select.policy.verdict_names, transform.anchors
    summary: dict[str, Any] = {
        "hfneg": __version__,
        "columns": {"anchor": anchors.anchor, "positive": anchors.positive},
        "positives_are": anchors.positives_are,
        "rows": dict(rows),
        "anchors": len(anchors),
        "documents": len(anchors.corpus),
        "added_positives": anchors.added,
        "candidates": int(selections.verdicts.sum()),
        "verdicts": {names[code]: int(selections.verdicts[code]) for code in names},
        "verdict_codes": {str(code): name for code, name in names.items()},
        "negatives": int(selections.lengths.sum()),
        "negatives_per_anchor": mined_folder.per_anchor(selections.lengths),
        "wanted_per_anchor": recipe.sampler.n,
        "sources": list(transform.retrieve.names),
        "anchors_without_candidates": dict(zip(transform.retrieve.names, selections.unfound.tolist(), strict=True)),
        "exact": all(getattr(r, "exact", True) for r in transform.retrieve.retrievers),
        "corpus": anchors.corpus.digest,
        "recipe": recipe.to_yaml(),
        "models": models_of(recipe),
        "versions": library_versions(),
    }
    if anchors.said:
        summary["reading"] = dict(anchors.said)
    if anchors.given:
        summary["given_negatives"] = {"known": anchors.given, "taken": summary["verdicts"]["given"]}
    if empty := anchors.corpus.empty_documents:
        summary["empty_documents"] = empty
    if takes := guard_takes.in_a_run(ledger, anchors.corpus, transform.select.policy.guard, summary["verdicts"]):
        summary["guard_takes"] = takes
        guard_takes.say(takes)
    summary |= _shortfall(transform, recipe, selections, summary["verdicts"])
    if recipe.teacher is not None:
        summary["teacher"] = _teacher(transform, selections, summary["verdicts"])
    if hidden is not None:
        share = hidden.hidden_found / hidden.negatives if hidden.negatives else 0.0
        summary["hidden_positives"] = {**hidden.__dict__, "share_of_negatives": round(share, 6)}
    return summary


def _teacher(transform: Mine, selections: Selections, verdicts: dict[str, int]) -> dict[str, Any]:
    """Which teacher, and what it cost: pairs asked, answered by the store, and spared by asking on demand."""
    policy = transform.select.policy
    assert policy.teacher is not None
    asked, stored = selections.calls.tolist()
    return {
        "teacher": repr(policy.teacher),
        "digest": policy.teacher.digest,
        "members": [member.digest for member in policy.teacher.members],
        "scale": policy.teacher.resolved_scale,
        "pairs_asked": asked,
        "pairs_from_store": stored,
        "candidates_not_examined": verdicts["not_examined"],
        "scored_in_full_because": policy.why_not_lazy,
    }


def _shortfall(
    transform: Mine, recipe: Recipe, selections: Selections, verdicts: dict[str, int]
) -> dict[str, dict[str, Any]]:
    """What was done for anchors with too few negatives; what is left of them is said in the log, too."""
    deepened, added, asked, stored, short, then_asked, then_stored = selections.shortfall.tolist()
    still = int((selections.lengths < recipe.sampler.n).sum())
    facts: dict[str, dict[str, Any]] = {}
    if recipe.deeper is not None:
        facts["deeper"] = {
            "k": transform.deeper,  # None: the first search gave the whole corpus
            "anchors": deepened if transform.deeper is not None else 0,
            "still_short": short,
            "candidates": added,
            "pairs_asked": asked,
            "pairs_from_store": stored,
        }
    facts["short"] = {
        "policy": repr(recipe.short),
        "anchors": short,
        "still_short": still,
        "relaxed": verdicts["relaxed"],
        "filled": verdicts["filled"],
        "pairs_asked": then_asked,
        "pairs_from_store": then_stored,
    }
    if still:
        said = "%d of %d anchors have fewer than %d negatives (short: %r)"
        log.warning(said, still, len(selections.lengths), recipe.sampler.n, recipe.short)
    return facts
