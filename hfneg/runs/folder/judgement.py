"""What to make of a mined folder, by its own figures: whether it is enough, how false it is, and what to do next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfneg.base.plain_text import several
from hfneg.runs.folder.statistics import NEGATIVE, Statistics

MANY_SHORT = 0.1
"""A larger share of short anchors is worth mining again; the same as in `hfneg.diff`."""

MANY_FALSE = 0.05
"""A larger share of false negatives is worth a stricter filter."""

JUDGED = 200
"""Pairs to have judged: with none of them relevant the rate is below 2%."""

FIRST = ("1", "2 to 5", "6 to 10")


@dataclass(frozen=True)
class JudgedStep:
    """What to type (PAIRS stands for what was mined from), and what it is for."""

    command: str
    gain: str


@dataclass(frozen=True)
class FalseOnes:
    """What is known of the share of false negatives.

    Attributes:
        text: in words, and what it is from; "" where nothing is known.
        caveat: what the figure leaves out.
        rate: a measured one; None where nothing was measured.
    """

    text: str
    caveat: str
    rate: float | None


@dataclass(frozen=True)
class Judgement:
    """Two sentences, how false the negatives are, the next step, and further ones against false negatives."""

    text: str
    false: FalseOnes
    next: JudgedStep
    against_false: tuple[JudgedStep, ...]


def judge(folder: str | Path, facts: Mapping[str, Any], statistics: Statistics) -> Judgement:
    """Of the folder with this summary."""
    false = false_ones(facts, statistics)
    said = "How many are false is not measured." if not false.text else f"{_upper(false.text)}."
    text = f"{_enough(facts, statistics)}{_hard(statistics)}. {said}"
    if not statistics.negatives:
        text = f"Nothing was mined: none of {several(statistics.candidates, 'candidate')} was left."
    return Judgement(text, false, _next(folder, facts, statistics, false), against_false(folder, facts))


def why_short(statistics: Statistics) -> str:
    """What became of the candidates of anchors for which too few survived, the most frequent first; "" without any."""
    if not statistics.short:
        return ""
    counts = {name: n for name, n in statistics.short_verdicts.items() if name != "filled"}
    total = sum(counts.values())
    if not total:
        return "nothing was found for them"
    taken = [f"{n:,} {name}" for name, n in counts.items() if name not in NEGATIVE][:3]
    return f"of their {several(total, 'candidate')} {', '.join(taken) or 'all were taken'}"


def false_ones(facts: Mapping[str, Any], statistics: Statistics) -> FalseOnes:
    """By the best that the folder itself knows: a calibration, hidden positives, the teacher's scores."""
    if found := facts.get("calibration"):
        rate = re.match(r"([\d.]+)%", found)
        return FalseOnes(f"false negatives by hfneg calibrate: {found}", "", float(rate[1]) / 100 if rate else None)
    if hidden := facts.get("hidden_positives"):
        share, found = float(hidden["share_of_negatives"]), f"{hidden['hidden_found']:,} of {hidden['negatives']:,}"
        text = f"{share:.1%} of the negatives are hidden positives ({found} in the rows)"
        return FalseOnes(text, "That many are false at least; what nobody has labelled is not among them.", share)
    above, count = _above(statistics)
    if not count:
        return FalseOnes("", "", None)
    found = f"{above:,} of {several(count, 'negative')} ({above / count:.1%})"
    caveat = (
        "These score above the mean of their anchor's positives. The same teacher chose the negatives, so what it "
        "misjudges is not among them."
    )
    return FalseOnes(f"likely false by the teacher that chose them: {found}", caveat, None)


def against_false(folder: str | Path, facts: Mapping[str, Any]) -> tuple[JudgedStep, ...]:
    """What could be done to know, and to have fewer."""
    place = shlex.quote(str(folder))
    sample = min(JUDGED, max(int(facts["negatives"]), 1))
    steps = [
        JudgedStep(
            f"hfneg calibrate {place} --sample {sample} --out to_judge.csv",
            f"writes {several(sample, 'pair')} for you (or a model that reads) to judge",
        ),
        JudgedStep(
            f"hfneg calibrate {place} --judge to_judge.csv --record", "the rate with its 95% interval, kept here"
        ),
    ]
    if "teacher" not in facts:
        gain = "a cross-encoder reads each pair; what it scores near the positives is left out"
        steps.append(JudgedStep("hfneg mine PAIRS --recipe teacher --teacher MODEL", gain))
    else:
        steps.append(
            JudgedStep(
                f"hfneg calibrate {place} --judge to_judge.csv --target 0.05",
                "chooses the limit with which fewer than 5% are false",
            )
        )
    return (*steps, *_stricter(folder, facts))


def _stricter(folder: str | Path, facts: Mapping[str, Any]) -> list[JudgedStep]:
    """Another policy over the same candidates, where one is near at hand."""
    margins = re.findall(r"\bMargin\(relative=(0?\.\d+)", facts["recipe"])
    if len(margins) == 1:
        limit = f"filters.margin.relative={2 * float(margins[0]):g}"
    elif re.search(r"^filters: (\[\]|null)", facts["recipe"], re.MULTILINE) or "\nfilters:" not in facts["recipe"]:
        limit = "filters=RankWindow(skip=10)"
    else:
        return []
    path = Path(folder) if Path(folder).name not in ("", "..") else Path(folder).resolve()
    out = shlex.quote(str(path.with_name(f"{path.resolve().name}-stricter")))
    return [
        JudgedStep(
            f"hfneg select {shlex.quote(str(folder))} --set {shlex.quote(limit)} --out {out}",
            "keeps more distance from the positives, over the same candidates: easier, and less false",
        )
    ]


def _enough(facts: Mapping[str, Any], statistics: Statistics) -> str:
    wanted, anchors = int(facts["wanted_per_anchor"]), statistics.anchors
    lacking = sum(statistics.per_anchor[:wanted])
    if lacking:
        has = "has" if lacking == 1 else "have"
        return f"{lacking:,} of {several(anchors, 'anchor')} {has} fewer than {several(wanted, 'negative')}"
    added = {
        "filled": "are random, because too little was left",
        "relaxed": "are taken back from what a filter had dropped",
    }
    for name, words in added.items():
        if count := statistics.verdicts.get(name):
            return f"{_all_have(anchors, wanted)}, but {count:,} of them {words}"
    return _all_have(anchors, wanted)


def _all_have(anchors: int, wanted: int) -> str:
    who = "The anchor has its" if anchors == 1 else f"All {anchors:,} anchors have their"
    return f"{who} {several(wanted, 'negative')}"


def _hard(statistics: Statistics) -> str:
    """How near the top of the search they were found: the only sign of hardness that every run has."""
    hardness = next(iter(statistics.hardness.values()), None)
    if hardness is None or not statistics.negatives:
        return ""
    near = sum(h.count + h.missing for name, h in hardness.by_rank.items() if name in FIRST)
    return f"; {near / statistics.negatives:.0%} were among the first 10 found"


def _next(folder: str | Path, facts: Mapping[str, Any], statistics: Statistics, false: FalseOnes) -> JudgedStep:
    place = shlex.quote(str(folder))
    if not statistics.negatives:
        lost = [name for name in statistics.short_verdicts if name not in NEGATIVE]
        verdict = f" --verdict {lost[0]}" if lost else ""
        return JudgedStep(f"hfneg show {place}{verdict}", "what became of the candidates")
    if statistics.short > MANY_SHORT * statistics.anchors:
        recipe = shlex.quote(str(Path(folder) / "recipe.yaml"))
        why = why_short(statistics)
        gain = f"searches deeper for {several(statistics.short, 'anchor')} with too few: {why}"
        return JudgedStep(f"hfneg mine PAIRS --recipe {recipe} --deeper {5 * _k(facts)}", gain)
    if false.rate is None:
        return against_false(folder, facts)[0]
    if false.rate > MANY_FALSE:
        return against_false(folder, facts)[2]
    return JudgedStep(f"hfneg export {place} --format tuples --out train.parquet", "what a trainer reads")


def _k(facts: Mapping[str, Any]) -> int:
    found = re.search(r"^k: (\d+)", facts["recipe"], re.MULTILINE)
    return int(found[1]) if found else 100


def _above(statistics: Statistics) -> tuple[int, int]:
    """Negatives that the teacher scores at or above the mean of their positives, and of how many that is known.

    Bins begin at whole multiples of their width, so that zero is between two of them.
    """
    if "teacher" not in statistics.hardness:
        return 0, 0
    found = statistics.hardness["teacher"].of_all
    return int(found.counts[max(-found.start, 0) :].sum()), found.count


def _upper(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
