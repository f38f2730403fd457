"""The charts of a report, each a picture with the numbers it was drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hfneg.review.diff.result import EASY, FATES, Diff
from hfneg.review.report.drawing import LEFT, WIDTH, Scale, axis, bar, line, number, share, svg, text
from hfneg.runs.folder.histogram import Histogram, exponent_for
from hfneg.runs.folder.statistics import GROUPS, NEGATIVE, RANK_EDGES, Statistics, rank_label
from hfneg.steps.filters import meaning_of

BARS = 64
"""Bins of a drawn distribution, at most."""

SHOWN = (0.001, 0.999)
"""The part of the values that is drawn."""

GROUP_WORDS = {
    "positive": "Positives",
    "negative": "Negatives",
    "rejected": "Rejected",
    "promoted": "Promoted to positives",
    "left_over": "Spare or not examined",
}
GUARD = ("known_positive", "own_text", "near_positive", "repeat", "contained", "empty")
LAST = ("promoted", "not_examined")


@dataclass(frozen=True)
class Chart:
    """A picture, what it shows, and its numbers as a table (at first to be seen, or folded away)."""

    title: str
    picture: str
    caption: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    unfolded: bool = False


def scores(of: Mapping[str, Histogram], title: str, caption: str) -> Chart | None:
    """The distribution of one score: a row for each group, all over one axis. None where nothing was scored."""
    groups = {name: of[name] for name in GROUPS if name in of and of[name].count}
    if not groups:
        return None
    lows, highs = ([h.quantile(q) for h in groups.values()] for q in SHOWN)
    scale = Scale.around(min(lows), max(highs))
    exponent = max(exponent_for(scale.low, scale.high, BARS), *(h.exponent for h in groups.values()))
    height, tall = 66, 38
    parts = [axis(scale, height * len(groups) + 4, title, 8)]
    for i, (name, histogram) in enumerate(groups.items()):
        floor = height * (i + 1)
        middle = histogram.quantile(0.5)
        parts += [
            text(LEFT, floor - tall - 10, f"{GROUP_WORDS[name]}, {histogram.count:,}", "label"),
            _steps(histogram.coarser(exponent), scale, floor, tall, name),
            line(LEFT, floor, WIDTH - LEFT, floor, "axis"),
            line(scale(middle), floor - tall - 3, scale(middle), floor, "middle"),
            text(WIDTH - LEFT, floor - tall - 10, f"median {number(middle)}", "tick", "end"),
        ]
    picture = svg(height * len(groups) + 40, f"{title}: {_said(groups)}", *parts)
    rows = [
        (GROUP_WORDS[name], f"{h.count:,}", *(number(h.quantile(q)) for q in (0.1, 0.25, 0.5, 0.75, 0.9)))
        for name, h in groups.items()
    ]
    return Chart(title, picture, caption, ("", "scored", "10%", "25%", "median", "75%", "90%"), rows)


def _said(groups: Mapping[str, Histogram]) -> str:
    return "; ".join(f"{GROUP_WORDS[name]} have the median {number(h.quantile(0.5))}" for name, h in groups.items())


def _steps(histogram: Histogram, scale: Scale, floor: float, tall: float, name: str) -> str:
    """A filled outline of the bins, the highest as high as `tall`."""
    most = int(histogram.counts.max())
    places = [f"M{scale(histogram.start * histogram.width):.1f} {floor}"]
    for i, count in enumerate(histogram.counts.tolist()):
        left, right = ((histogram.start + i + side) * histogram.width for side in (0, 1))
        if right < scale.low or left > scale.high:
            continue
        y = floor - tall * count / most
        places.append(f"L{scale(left):.1f} {y:.1f}L{scale(right):.1f} {y:.1f}")
    end = scale((histogram.start + len(histogram.counts)) * histogram.width)
    return f'<path d="{"".join(places)}L{end:.1f} {floor}Z" class="fill-{name} edge-{name}"/>'


def funnel(statistics: Statistics) -> Chart:
    """From all candidates to the negatives: what each step takes away, and how many are left."""
    counts = statistics.verdicts
    spare = counts.get("spare", 0)
    looked_at = statistics.candidates - spare
    total = max(looked_at, 1)
    filters = [name for name in counts if name not in (*GUARD, *LAST, *NEGATIVE, "spare")]
    left, rows, parts, y = looked_at, [("retrieved", "", "", f"{statistics.candidates:,}")], [], 0.0
    if spare:
        rows.append(("spare", meaning_of("spare"), f"{spare:,}", f"{left:,}"))
    words = f"{left:,} (of {statistics.candidates:,}: {spare:,} spare)" if spare else f"{left:,}"
    parts += _funnel_row(0, "Candidates looked at" if spare else "Candidates retrieved", words, 0, left, total)
    for name in (*GUARD, *filters, *LAST):
        removed = counts.get(name, 0)
        if not removed:
            continue
        y, left = y + 36, left - removed
        words = f"\u2212{removed:,} ({share(removed, total)}), {left:,} left"
        parts += _funnel_row(y, name, words, removed, left, total, meaning_of(name))
        rows.append((name, meaning_of(name), f"{removed:,}", f"{left:,}"))
    parts += _funnel_row(y + 36, "Hard negatives", f"{left:,} ({share(left, total)})", 0, left, total, kind="negative")
    rows.append(("hard negatives", "", "", f"{left:,}"))
    picture = svg(y + 72, f"From {statistics.candidates:,} candidates to {left:,} negatives", *parts)
    caption = "Each step in turn: on the left what is left, behind it (orange) what the step took away."
    return Chart("From candidates to negatives", picture, caption, ("verdict", "it", "taken away", "left"), rows, True)


def _funnel_row(
    y: float, label: str, words: str, removed: int, left: int, total: int, tip: str = "", kind: str = "kept"
) -> list[str]:
    wide = WIDTH - 2 * LEFT
    kept, gone = wide * left / total, wide * removed / total
    return [
        text(LEFT, y + 13, label, "label"),
        text(WIDTH - LEFT, y + 13, words, "tick", "end"),
        bar(LEFT, y + 18, wide, 11, "rail"),
        bar(LEFT, y + 18, kept, 11, f"fill-{kind}"),
        bar(LEFT + kept, y + 18, gone, 11, "fill-gone", f"{label}: {tip}"),
    ]


def spreads(of: Mapping[str, Histogram], title: str, words: str, caption: str) -> Chart | None:
    """A box for each: the middle half, its median, and a line from the 10% to the 90% quantile."""
    known = {name: h for name, h in of.items() if h.count}
    if not known:
        return None
    quantiles = {name: [h.quantile(q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)] for name, h in known.items()}
    scale = Scale.around(min(0.0, *(q[0] for q in quantiles.values())), max(0.0, *(q[4] for q in quantiles.values())))
    foot = 36 * len(known) + 6
    parts = [axis(scale, foot, words, foot)]
    for i, (name, (low, first, middle, third, high)) in enumerate(quantiles.items()):
        y = 36 * i
        parts += [
            text(LEFT, y + 13, f"{name}, {known[name].count:,}", "label"),
            text(WIDTH - LEFT, y + 13, f"median {number(middle)}", "tick", "end"),
            *(line(scale(value), y + 17, scale(value), y + 34, "grid") for value in scale.ticks()),
            line(scale(0), y + 16, scale(0), y + 34, "zero"),
            line(scale(low), y + 24, scale(high), y + 24, "whisker"),
            bar(scale(first), y + 18, max(scale(third) - scale(first), 1), 12, "fill-negative"),
            line(scale(middle), y + 16, scale(middle), y + 32, "middle"),
        ]
    said = "; ".join(f"{name}: median {number(q[2])}" for name, q in quantiles.items())
    rows = [(name, f"{known[name].count:,}", *map(number, q)) for name, q in quantiles.items()]
    head = ("", "negatives", "10%", "25%", "median", "75%", "90%")
    return Chart(title, svg(foot + 36, f"{title}: {said}", *parts), caption, head, rows)


def in_rank_order(of: Mapping[str, Histogram]) -> dict[str, Histogram]:
    """Groups of ranks from the first on, what was not retrieved last."""
    labels = [*(rank_label(i) for i in range(len(RANK_EDGES))), "random"]
    words = {"random": "not retrieved"}
    return {words.get(name, f"rank {name}"): of[name] for name in labels if name in of}


def per_anchor(statistics: Statistics, wanted: int) -> Chart:
    """How many anchors have how many negatives."""
    groups = _grouped(statistics.per_anchor)
    most, n = max(max(count for _, count, _ in groups), 1), len(groups)
    wide, tall, top = (WIDTH - 2 * LEFT) / n, 130, 18
    parts = [line(LEFT, top + tall, WIDTH - LEFT, top + tall, "axis")]
    for i, (label, count, last) in enumerate(groups):
        x, height = LEFT + wide * i, tall * count / most
        kind = "fill-rejected" if last < wanted else "fill-negative"
        words = share(count, statistics.anchors)
        parts.append(
            bar(x + wide * 0.12, top + tall - height, wide * 0.76, height, kind, f"{label}: {count:,} anchors")
        )
        parts.append(text(x + wide / 2, top + tall + 15, label, "tick", "middle"))
        if count and n <= 12:
            parts.append(text(x + wide / 2, top + tall - height - 4, words, "tick", "middle"))
    parts.append(text(WIDTH / 2, top + tall + 30, "negatives of an anchor", "tick", "middle"))
    short = sum(statistics.per_anchor[:wanted])
    rows = [(label, f"{count:,}", share(count, statistics.anchors)) for label, count, _ in groups]
    caption = (
        f"{wanted} were asked for; {short:,} of {statistics.anchors:,} anchors ({share(short, statistics.anchors)}) "
        "have fewer."
    )
    picture = svg(top + tall + 36, f"Negatives per anchor. {caption}", *parts)
    return Chart("Negatives per anchor", picture, caption, ("negatives", "anchors", "share"), rows)


def _grouped(counts: Sequence[int]) -> list[tuple[str, int, int]]:
    """(label, anchors, most negatives of the group) in at most 24 groups."""
    step = math.ceil(len(counts) / 24)
    edges = range(0, len(counts), step)
    return [
        (
            str(i) if step == 1 else f"{i}\u2013{min(i + step, len(counts)) - 1}",
            int(np.sum(counts[i : i + step])),
            min(i + step, len(counts)) - 1,
        )
        for i in edges
    ]


def fates(found: Diff) -> Chart:
    """What became of the earlier round's negatives."""
    total, parts, rows = max(found.negatives, 1), [], []
    wide = WIDTH - 2 * LEFT
    for i, (name, meaning) in enumerate((name, words) for name, words in FATES.items() if found.fates[name]):
        count, y = found.fates[name], 36 * i
        kind = "positive" if name in EASY else "negative" if name in ("stayed", "passed_over") else "rejected"
        parts += [
            text(LEFT, y + 13, meaning, "label"),
            text(WIDTH - LEFT, y + 13, f"{count:,} ({share(count, total)})", "tick", "end"),
            bar(LEFT, y + 18, wide, 11, "rail"),
            bar(LEFT, y + 18, wide * count / total, 11, f"fill-{kind}"),
        ]
        rows.append((name, meaning, f"{count:,}", share(count, total)))
    picture = svg(36 * len(rows) + 4, f"What became of {found.negatives:,} negatives of {found.a.name}", *parts)
    caption = f"Each of the {found.negatives:,} negatives of {found.a.name}, by what it is in {found.b.name}."
    return Chart("What became of the earlier negatives", picture, caption, ("fate", "it", "negatives", "share"), rows)
