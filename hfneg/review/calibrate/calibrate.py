"""`calibrate`: how many of the mined negatives are relevant after all, and which setting of the policy to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.settings import is_number, is_seed, is_whole, shown
from hfneg.data import judgments
from hfneg.data.anchors import Anchors
from hfneg.data.judgments import Judgments
from hfneg.errors import EmptyInputError, InputError, NeedsTeacher, SettingError
from hfneg.review.calibrate import (
    difficulty,
    estimator as estimating,
    frame as frames,
    matching,
    plot as plotting,
    sample_files,
    strata,
    sweep,
)
from hfneg.review.calibrate.estimator import NEEDED, Estimator
from hfneg.review.calibrate.findings import Calibration, Chosen, Rate, Sample, Setting
from hfneg.review.calibrate.frame import Frame
from hfneg.review.calibrate.strata import SKIPPED
from hfneg.review.calibrate.varied import SKIP, Varied
from hfneg.review.intervals import needed
from hfneg.review.leak.leak import leak_rate
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors

EASIER = (
    "nothing was judged: what is said is how large the rate could be, not how large it is. It rests on unlabelled "
    "positives scoring like labelled ones; they are usually harder to recognise, score lower, and then the rate is "
    "higher than said. A judged sample settles it: sample=N (--sample N), then judge=FILE (--judge FILE)"
)


@store.disk_full_is_said()
def calibrate(
    mined: str | Path,
    *,
    judge: Any = None,
    judge_split: str | None = None,
    relevant_from: float | None = None,
    complete: bool | None = None,
    sample: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    vary: str | None = None,
    values: Sequence[Any] | None = None,
    target: float | None = None,
    reference: Any = None,
    plot: str | Path | None = None,
    corpus: Any = None,
    seed: int = 0,
    trust: bool = False,
    record: bool = False,
) -> Calibration:
    """The false-negative rate P(relevant | mined) of a mined folder, by the best method there are judgments for.

    ::

        hfneg.calibrate("mined/", sample=200, out="to_judge.csv")      # then fill in the column relevance
        print(hfneg.calibrate("mined/", judge="to_judge.csv").false_negatives)

    Pairs judged one by one give a stratified estimate ("judged sample"), whole anchors a curve fitted on them and its
    mean error ("judged anchors"), both with a 95% interval; without judgments only a bound is told, which is a
    sensitivity and no confidence. Each anchor counts once, however many rows share it.

    Args:
        mined: a folder that `mine` or `reselect` wrote.
        judge: with `sample`, a sample that was judged before and is to grow to so many pairs; its judgments are in the
            file that is written. Else judgments: a table of pairs, qrels, a BEIR folder or a mapping; see
            `hfneg.data.judgments.read`. `judge_split` names the qrels of a BEIR folder.
        relevant_from: the least grade that is relevant; 1, and whole grades, unless said.
        complete: what the judgments do not name for an anchor that they name is not relevant. None: so for qrels
            that name relevant documents only.
        sample: write so many pairs to be judged to `out` (.csv, .jsonl, .parquet); `seed` draws them. `overwrite`
            replaces the file.
        vary: a setting of the policy, as ``"filters.margin.relative"``; its `values` are replayed over the ledger.
            A sample is then drawn from what any of them mines. "skip": how many first ranks are skipped, with no filter
            besides.
        target: choose the hardest value of `vary` (None: of the last filter with a limit, else the skip) whose upper
            end is below this on half of the anchors, and report it on the other half. Of skips, the smallest for which
            it can be shown, see `hfneg.review.calibrate.sweep.choose_skip`.
        reference: a SentenceTransformer that is neither miner nor teacher; gives hardness.
        plot: a PNG to write (needs the extra ``plots``).
        corpus: what `mine` was given; needed only where the store no longer has it.
        trust: load components that the folder's recipe imports.
        record: write the rate into the folder's ``summary.json`` and card, from where `publish` takes it.

    Raises:
        InputError and its kinds: no mined folder or ledger; judgments that do not fit, have other labels, or are too
            few; too few scores for a bound.
        NeedsTeacher: `vary` needs scores that the ledger does not have.
        OutputExistsError: `out` is there. MissingExtraError: `plot` without matplotlib.
    """
    _check(judge, sample, target, values, vary, seed)
    path = None if sample is None else sample_files.check(out, overwrite)
    picture = None if plot is None else plotting.check(plot)
    ledger = MinedLedger(mined)
    given = None if judge is None else judgments.read(judge, judge_split)
    if not ledger.summary["negatives"]:
        raise EmptyInputError(f"{mined} has no negatives; there is no rate to measure")
    anchors = reopen_anchors(ledger, corpus)
    varied = Varied() if vary is None and target is None else Varied.of(ledger, anchors, vary, values, trust)
    frame = frames.read(ledger, anchors, varied.replays)
    if not frame.mined[0].any():
        raise EmptyInputError(f"all negatives of {mined} were given as such; there is no rate to measure")
    skips = varied.setting == SKIP or (given is not None and any(name.startswith(SKIPPED) for name in given.strata))
    layers = strata.by_rank(frame, int(ledger.summary["wanted_per_anchor"])) if skips else strata.strata(frame)
    work = _Work(ledger, anchors, frame, layers, varied, [])
    if path is not None and sample is not None:
        known = None if given is None else work.judged(given, relevant_from, complete)
        written, estimator = work.sample(path, sample, seed, target, known), Estimator(frame, work.layers, None)
    else:
        written, estimator = None, work.estimator(given, relevant_from, complete)
    recipe = ledger.summary["recipe"]
    measured = None if reference is None else difficulty.measure(reference, recipe, frame, anchors)
    found = work.report(estimator, measured, target, written, {"corpus": corpus, "trust": trust, "seed": seed})
    if picture is not None:
        plotting.write(picture, found)
    if record:
        mined_folder.record(mined, calibration=found.in_words)
    return found


def _check(judge: Any, sample: Any, target: Any, values: Any, vary: Any, seed: Any) -> None:
    if sample is not None and not is_whole(sample, NEEDED):
        raise SettingError(
            f"sample={sample!r} must be a whole number of at least {NEEDED}: fewer judgments say nothing"
        )
    if target is not None and not (is_number(target) and 0 < target < 1):
        raise SettingError(f"target={target!r} must be a rate above 0 and below 1")
    if values is not None and (vary is None or isinstance(values, str) or not len(values)):
        raise SettingError(f"values={values!r}: give a list of values, and vary= (--vary) the setting that takes them")
    if not is_seed(seed):
        raise SettingError(f"seed={shown(seed)} must be a whole number, 0 or more")


@dataclass(frozen=True)
class _Work:
    """A folder that was read, and what is to be said with what is found."""

    ledger: MinedLedger
    anchors: Anchors
    frame: Frame
    layers: strata.Strata
    varied: Varied
    warnings: list[str]

    def sample(
        self, path: Path, n: int, seed: int, target: float | None, known: matching.Judged | None = None
    ) -> Sample:
        """Write the pairs to be judged; what is judged already stands in it, and counts among the n.

        Raises InputError where whole anchors were judged, or as many pairs as are asked for.
        """
        frame, layers = self.frame, self.layers
        inside = np.asarray(frame.mined.any(axis=0))
        if known is not None and known.whole_anchors:
            raise InputError("these are judgments of whole anchors, to which no sample of pairs can be added")
        given = strata.allocate(n, frame, layers, inside, alike=self.varied.setting == SKIP)
        labels = None if known is None else np.where(inside, known.labels, np.nan)
        if labels is not None and (have := int((~np.isnan(labels)).sum())) >= n:
            raise InputError(f"{have:,} pairs are judged already, and sample={n} is to be more: it counts them all")
        taken = strata.draw(given, frame, layers, inside, seed, None if labels is None else ~np.isnan(labels))
        if target is not None and self.varied.setting != SKIP and n < 2 * needed(target):
            self.warnings.append(
                f"with {n} judged pairs no setting can be shown to be below {target:g}, even if none is relevant: "
                f"{needed(target)} are needed on each half of the anchors"
            )
        names = matching.Names(self.ledger, self.anchors)
        return sample_files.write(path, frame, layers, inside, taken, names, labels)

    def judged(self, given: Judgments, least: float | None, complete: bool | None) -> matching.Judged:
        """The judgments of pairs of the frame; what did not fit is said."""
        names = matching.Names(self.ledger, self.anchors)
        found = matching.match(self.frame, names, given, least, complete)
        self.warnings.extend(found.warnings)
        return found

    def estimator(self, given: Judgments | None, least: float | None, complete: bool | None) -> Estimator:
        """By the judgments, where there are some."""
        if given is None:
            return Estimator.of(self.frame, self.layers, None, False)
        judged = self.judged(given, least, complete)
        estimator = Estimator.of(self.frame, self.layers, judged.labels, judged.whole_anchors)
        if estimator.by_anchor and (warning := estimating.unlike(self.frame, judged.labels)) is not None:
            self.warnings.append(warning)
        return estimator

    def report(
        self,
        estimator: Estimator,
        measured: difficulty.Measured | None,
        target: float | None,
        written: Sample | None,
        leaking: dict[str, Any],
    ) -> Calibration:
        """Everything together."""
        own = self.frame.mined[0]
        given = int(self.frame.given.sum())
        rate = estimator.rate(own, given=given) or Rate("no judgments", None, 0.0, 1.0, False, int(own.sum()) + given)
        if given:
            self.warnings.append(f"{given:,} of the negatives were given as such, and count as not relevant")
        known = self._settings(estimator, measured, leaking)
        hard = sweep.hardness(estimator, measured, own)
        chosen = None if target is None or written is not None else self._choose(target, known, estimator)
        if not rate.confidence:
            self.warnings.append(EASIER)
        return Calibration(
            folder=str(self.ledger.folder),
            anchors=len(self.ledger),
            components=len(np.unique(self.frame.components)),
            negatives_per_anchor=(int(own.sum()) + given) / len(self.ledger),
            false_negatives=rate,
            sensitivity=() if rate.confidence else estimating.sensitivity(self.frame),
            leak=self._leak((), leaking),
            hardness=hard,
            beside=None if self.varied.setting != SKIP else sweep.beside(rate, hard, [one for _, one in known]),
            varied=self.varied.setting,
            settings=tuple(one for _, one in known),
            chosen=chosen,
            sample=written,
            warnings=tuple(dict.fromkeys(self.warnings)),
        )

    def _leak(self, settings: tuple[str, ...], leaking: dict[str, Any]) -> dict[str, Any] | None:
        """Nothing, and a warning, where scores that it needs are not in the ledger."""
        try:
            return leak_rate(self.ledger.folder, settings=settings, **leaking).to_dict()
        except NeedsTeacher as error:
            self.warnings.append(f"the leak rate was not measured: {error}")
            return None

    def _settings(
        self, estimator: Estimator, measured: difficulty.Measured | None, leaking: dict[str, Any]
    ) -> list[tuple[int, Setting]]:
        """(number in the frame, what is known) of each value that enough is known of."""
        found = []
        for i, value in enumerate(self.varied.values, start=1):
            if estimator.rate(self.frame.mined[i]) is None:
                self.warnings.append(
                    f"too few judged pairs for {self.varied.setting}={value!r}: have the sample drawn with vary= given"
                )
                continue
            skips = self.varied.setting == SKIP  # no setting of the recipe that could be replayed
            leak = None if skips else self._leak((f"{self.varied.setting}={value!r}",), leaking)
            one = sweep.setting(value, i, estimator, measured, leak)
            found += [] if one is None else [(i, one)]
        return found

    def _choose(self, target: float, known: list[tuple[int, Setting]], estimator: Estimator) -> Chosen:
        if self.varied.setting == SKIP:
            return sweep.choose_skip(target, known, estimator, self.varied)
        places, found = [i for i, _ in known], [one for _, one in known]
        chosen = sweep.choose(target, found, places, estimator, self.varied.fragment)
        units = max((one.false_negatives.units for one in found), default=0)
        if chosen.value is None:
            self.warnings.append(
                f"a skip may do it: have a sample drawn for skips (vary='{SKIP}', --vary {SKIP}), judge it, and give "
                "it with the same target; that is what any filter has to beat"
            )
        if chosen.value is None and estimator.labels is not None and units < 2 * needed(target):
            self.warnings.append(
                f"no setting could be shown to be below {target:g}: even with none relevant that takes "
                f"{needed(target)} independent judgments on each half of the anchors, and there are {units} in all"
            )
        return chosen
