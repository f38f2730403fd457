"""What ``summary.json`` says of a run: its counts, its sources, and what it depended on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hfneg import __version__
from hfneg.pipeline.policy import Policy
from hfneg.runs.folder import fit, mined as mined_folder
from hfneg.runs.folder.form import SearchedDeeper, ShortAnchors, Summary, Taught
from hfneg.runs.folder.plan import Plan
from hfneg.runs.folder.provenance import library_versions
from hfneg.runs.folder.rows import HiddenCount
from hfneg.runs.folder.selections import Selections
from hfneg.steps import guard_takes
from hfneg.steps.teachers.base import TeacherFacts

log = logging.getLogger(__name__)


def summarize(
    plan: Plan, selections: Selections, hidden: HiddenCount, ledger: Path, facts: Mapping[str, Any]
) -> Summary:
    """The facts of a finished run.

    `ledger` is the folder of its files; `facts` are those that depend on where the candidates come from.
    """
    policy, anchors, names = plan.policy, plan.anchors, plan.policy.verdict_names
    counted: Summary = {
        "hfneg": __version__,
        "columns": {"anchor": anchors.anchor, "positive": anchors.positive},
        "positives_are": anchors.positives_are,
        "rows": dict(plan.rows),
        "anchors": len(anchors),
        "documents": len(anchors.corpus),
        "added_positives": anchors.added,
        "candidates": int(selections.verdicts.sum()),
        "verdicts": {names[code]: int(selections.verdicts[code]) for code in names},
        "verdict_codes": {str(code): name for code, name in names.items()},
        "negatives": int(selections.lengths.sum()),
        "negatives_per_anchor": mined_folder.per_anchor(selections.lengths),
        "wanted_per_anchor": plan.n,
        "sources": list(plan.names),
        "anchors_without_candidates": dict(zip(plan.names, selections.unfound.tolist(), strict=True)),
        "corpus": anchors.corpus.digest,
        "recipe": plan.recipe,
        "versions": library_versions(),
    }
    summary = cast(Summary, {**counted, **facts})
    if anchors.said:
        summary["reading"] = dict(anchors.said)
    if anchors.given:
        summary["given_negatives"] = {"known": anchors.given, "taken": summary["verdicts"]["given"]}
    if empty := anchors.corpus.empty_documents:
        summary["empty_documents"] = empty
    if takes := guard_takes.in_a_run(ledger, anchors.corpus, policy.guard, summary["verdicts"]):
        summary["guard_takes"] = takes
        guard_takes.say(takes)
    summary["short"] = _short(plan, selections, summary["verdicts"])
    if policy.teacher is not None:
        summary["teacher"] = _teacher(policy, policy.teacher, selections, summary["verdicts"])
        if policy.teacher.asks_positives:
            summary["teacher"]["fit"] = fit.measured(ledger, plan.names)
            fit.say(summary["teacher"]["fit"], plan.names)
    if plan.hidden is not None:
        share = hidden.hidden_found / hidden.negatives if hidden.negatives else 0.0
        summary["hidden_positives"] = {
            "negatives": hidden.negatives,
            "hidden_found": hidden.hidden_found,
            "hidden": hidden.hidden,
            "share_of_negatives": round(share, 6),
        }
    return summary


def searched_deeper(k: int | None, selections: Selections) -> SearchedDeeper:
    """What a deeper search has found, and what it cost; k is None where the first search gave the whole corpus."""
    anchors, added, asked, stored, short, *_ = selections.shortfall.tolist()
    return {
        "k": k,
        "anchors": anchors if k is not None else 0,
        "still_short": short,
        "candidates": added,
        "pairs_asked": asked,
        "pairs_from_store": stored,
    }


def _teacher(policy: Policy, teacher: TeacherFacts, selections: Selections, verdicts: dict[str, int]) -> Taught:
    """Which teacher, and what it cost: pairs asked, answered by the store, and spared by asking on demand."""
    asked, stored, spared = selections.calls.tolist()
    found: Taught = {
        "teacher": repr(teacher),
        "digest": teacher.digest,
        "members": [member.digest for member in teacher.members],
        "scale": teacher.resolved_scale,
        "asks_positives": teacher.asks_positives,
        "pairs_asked": asked,
        "pairs_from_store": stored,
        "candidates_not_examined": verdicts["not_examined"],
        "scored_in_full_because": policy.why_not_lazy,
    }
    if teacher.partial:
        found["pairs_spared"] = spared
    return found


def _short(plan: Plan, selections: Selections, verdicts: dict[str, int]) -> ShortAnchors:
    """What was done for anchors with too few negatives; what is left of them is said in the log, too."""
    *_, short, asked, stored = selections.shortfall.tolist()
    still = int((selections.lengths < plan.n).sum())
    if still:
        said = "%d of %d anchors have fewer than %d negatives (short: %s)"
        log.warning(said, still, len(selections.lengths), plan.n, plan.short)
    return {
        "policy": plan.short,
        "anchors": short,
        "still_short": still,
        "relaxed": verdicts["relaxed"],
        "filled": verdicts["filled"],
        "pairs_asked": asked,
        "pairs_from_store": stored,
    }
