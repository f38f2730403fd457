"""The leak rate, P(mined | relevant): one known positive is hidden at a time, and the policy asked whether it mines it.

A known positive that retrieval did not find for its anchor is a retrieval miss: it cannot be mined, and says nothing
about the policy. The others stand in the ledger with their ranks and scores, so no model is asked.

**With other positives** of its anchor still known, a replicate is replayed as it is. **With none left** a filter that
looks at scores alone (`Band`, `RankWindow`, `BelowPositives`) is replayed exactly too. One that compares with the
positive has nothing to compare with; what it would do depends on how the scores of two positives of one anchor go
together, which such data cannot tell. So there is a bracket instead of a number: compared with a positive of another
anchor, drawn so that the normal scores of their ranks have a correlation of 0, 0.3, 0.6 or 0.9 (a Gaussian copula), and
with itself (1), the least and the largest leak rate of these. That positives of one anchor do not go against one
another (a correlation below 0) is assumed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfneg import __version__
from hfneg.pipeline.policy import Policy
from hfneg.review.intervals import Share, share
from hfneg.review.leak.replicas import MOST, Hiding, Outcomes
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.reselect import policy_recipe
from hfneg.steps.filters import Filter
from hfneg.steps.guard import Guard
from hfneg.steps.samplers import Sampler
from hfneg.steps.short import Short


@dataclass(frozen=True)
class Leak:
    """What became of hidden positives; a replicate is one (anchor, hidden positive).

    Attributes:
        replicates: how many; `retrieved`: of them found by retrieval; `leaked`: of these mined as negatives.
        undecided: of the retrieved those that hang on a teacher score that the ledger does not have (at most a tenth;
            else `NeedsTeacher`). They widen the intervals: mined at the upper end, not mined at the lower.
        anchors, components: from how many anchors, and connected components of anchors, they are.
        retrieved_share: retrieved of replicates. leaked_of_retrieved, leaked_of_all: leaked of retrieved, of
            replicates. With intervals over components, see `hfneg.review.intervals.share`.
    """

    replicates: int
    retrieved: int
    leaked: int
    undecided: int
    anchors: int
    components: int
    retrieved_share: Share
    leaked_of_retrieved: Share
    leaked_of_all: Share


@dataclass(frozen=True)
class LeakRate:
    """The leak rate of a policy.

    Attributes:
        exact: of the replicates that can be replayed as they are; None where there are none.
        bracket: (low, high), of anchors with one known positive under a policy that compares with it: the least and
            the largest over all ways in which two positives of an anchor may go together, from unrelated to alike in
            score; None where nothing needs it.
        positives: known positives in all, of which the replicates are all or a sample.
        policy: whose rate it is, as text.
        note: what the numbers mean here, in a sentence or two.
    """

    exact: Leak | None
    bracket: tuple[Leak, Leak] | None
    positives: int
    policy: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON; None for a share of nothing."""
        facts: dict[str, Any] = dataclasses.asdict(self)
        for leak in (facts["exact"], *(facts["bracket"] or ())):
            for of in (value for value in (leak or {}).values() if isinstance(value, dict)):
                of["value"] = None if math.isnan(of["value"]) else of["value"]
        return facts

    def to_json(self) -> str:
        """One JSON object, on several lines."""
        return json.dumps({"hfneg": __version__, **self.to_dict()}, ensure_ascii=False, indent=2, allow_nan=False)


def _leak(outcomes: Outcomes, level: float) -> Leak | None:
    """Counts and shares; None where there is no replicate."""
    if not len(outcomes.anchors):
        return None
    found, labels, undecided = outcomes.retrieved, outcomes.labels, outcomes.undecided
    return Leak(
        replicates=len(found),
        retrieved=int(found.sum()),
        leaked=int(outcomes.leaked.sum()),
        anchors=len(np.unique(outcomes.anchors)),
        components=len(np.unique(labels)),
        undecided=int(undecided.sum()),
        retrieved_share=share(found, labels, level=level),
        leaked_of_retrieved=share(outcomes.leaked[found], labels[found], undecided[found], level),
        leaked_of_all=share(outcomes.leaked, labels, undecided, level),
    )


def leak_rate(
    mined: str | Path,
    *,
    filters: Sequence[Filter] | Filter | None = None,
    sampler: Sampler | None = None,
    guard: Guard | None = None,
    short: Short | None = None,
    settings: Sequence[str] = (),
    corpus: Any = None,
    trust: bool = False,
    most: int = MOST,
    level: float = 0.95,
    seed: int = 0,
) -> LeakRate:
    """How often the policy of a mined folder, or another one, mines a document that is relevant.

    Args:
        mined: a folder that `hfneg.mine` wrote; no model is asked.
        filters, sampler, guard, short, settings, corpus, trust: as for `hfneg.reselect`.
        most: replicates at most (of either kind, see `LeakRate`); of more a sample, the same for a seed.
        level: of the intervals.

    It is not the share of the negatives that are false, P(relevant | mined), which depends on how many unlabelled
    positives there are. And labelled positives are easier to find, and score higher, than those that nobody has
    labelled: what is true of the hidden ones is true of unlabelled ones as far as they are like them.

    A replicate has one known positive less than mining has: a margin below the least of them is a little looser then,
    and one below the largest a little stricter, the more so the fewer there are.

    Raises:
        NeedsTeacher: the replay needs teacher scores that the ledger does not have.
        InputError and its kinds: as for `hfneg.reselect`.
    """
    source = MinedLedger(mined)
    given = {"filters": filters, "sampler": sampler, "guard": guard, "short": short}
    recipe = policy_recipe(source, given, settings, trust=trust)
    hiding = Hiding(source, recipe, reopen_anchors(source, corpus), most, seed)
    return rated(source, hiding.policy, *hiding.outcomes(), level)


def rated(
    source: MinedLedger, policy: Policy, exact: Outcomes, bracket: tuple[Outcomes, ...], level: float
) -> LeakRate:
    """Counts, shares and words."""
    ends = [leak for outcomes in bracket if (leak := _leak(outcomes, level)) is not None]
    ends.sort(key=lambda leak: leak.leaked)
    return LeakRate(
        exact=_leak(exact, level),
        bracket=(ends[0], ends[-1]) if ends else None,
        positives=len(source.known_positives.rows.flat),
        policy=repr(policy),
        note=_note(len(exact.anchors), bool(ends)),
    )


def _note(exact: int, bracket: bool) -> str:
    if not bracket:
        return "Each replicate was replayed exactly, with one known positive hidden."
    of = (
        "Exact for anchors with several known positives; of those with one" if exact else "With one known positive each"
    )
    return (
        f"{of} a bracket, no number: a filter that compares with the positive is replayed as if two positives of an "
        "anchor were alike in score, unrelated, and between. The data cannot say which."
    )
