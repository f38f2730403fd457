"""Scores as a picture: an SVG that a person can read on light and on dark ground."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hfneg.runs.folder.histogram import Histogram, exponent_for

BINS = 64
WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 48, 32, 40, 44
COLOURS = {"positives": "#1b9e77", "negatives": "#d95f02", "rejected": "#7570b3"}

Shares = npt.NDArray[np.float64]


def histogram_svg(groups: Mapping[str, Histogram], title: str, axis: str) -> str:
    """Each group's values as shares of the group, over one axis; groups without values are left out."""
    known = {name: histogram for name, histogram in groups.items() if histogram.count}
    low, high, shares = _aligned(known)
    highest = max((float(share.max()) for share in shares.values()), default=1.0)
    parts = [_frame(low, high, title, axis, highest), *_legend(known)]
    parts += [_line(name, share, highest) for name, share in shares.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="sans-serif" font-size="12">\n'
        f"<title>{_escape(title)}</title>\n"
        "<style>text{fill:#222}.axis{stroke:#888}"
        "@media (prefers-color-scheme:dark){text{fill:#ddd}}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _aligned(groups: Mapping[str, Histogram]) -> tuple[float, float, dict[str, Shares]]:
    """(where the first bin begins, where the last ends, share per bin of each group), in bins of one width."""
    if not groups:
        return 0.0, 1.0, {}
    exponent = exponent_for(min(h.low for h in groups.values()), max(h.high for h in groups.values()), BINS)
    wide = {name: histogram.coarser(exponent) for name, histogram in groups.items()}
    first = min(histogram.start for histogram in wide.values())
    last = max(histogram.start + len(histogram.counts) for histogram in wide.values())
    shares = {}
    for name, histogram in wide.items():
        shares[name] = np.zeros(last - first)
        at = histogram.start - first
        shares[name][at : at + len(histogram.counts)] = histogram.counts / histogram.count
    return math.ldexp(first, exponent), math.ldexp(last, exponent), shares


def _frame(low: float, high: float, title: str, axis: str, highest: float) -> str:
    """Title, axis and its marks."""
    base = HEIGHT - BOTTOM
    marks = []
    for i in range(5):
        x = LEFT + (WIDTH - LEFT - RIGHT) * i / 4
        value = low + (high - low) * i / 4
        marks.append(f'<text x="{x:.0f}" y="{base + 16}" text-anchor="middle">{value:.3g}</text>')
    return (
        f'<text x="{LEFT}" y="16" font-weight="bold">{_escape(title)}</text>\n'
        f'<line class="axis" x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}"/>\n'
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{highest:.0%}</text>\n'
        f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{_escape(axis)}</text>\n' + "\n".join(marks)
    )


def _legend(groups: Mapping[str, Histogram]) -> list[str]:
    lines = []
    for i, (name, histogram) in enumerate(groups.items()):
        x = LEFT + 10 + 200 * i
        lines.append(f'<rect x="{x}" y="24" width="12" height="10" fill="{_colour(name)}"/>')
        lines.append(f'<text x="{x + 16}" y="33">{_escape(name)} ({histogram.count:,})</text>')
    return lines


def _line(name: str, share: Shares, highest: float) -> str:
    """One group as a stepped area."""
    base, wide = HEIGHT - BOTTOM, (WIDTH - LEFT - RIGHT) / len(share)
    points = [f"{LEFT},{base}"]
    for i, value in enumerate(share):
        y = base - (base - TOP) * float(value) / highest
        points += [f"{LEFT + wide * i:.1f},{y:.1f}", f"{LEFT + wide * (i + 1):.1f},{y:.1f}"]
    points.append(f"{WIDTH - RIGHT},{base}")
    colour = _colour(name)
    return (
        f'<polygon points="{" ".join(points)}" fill="{colour}" fill-opacity="0.25" stroke="{colour}" '
        'stroke-width="1.5"/>'
    )


def _colour(name: str) -> str:
    return COLOURS.get(name, "#888888")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
