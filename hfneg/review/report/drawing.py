"""SVG as text: escaped words, round numbers, axes. Colours are classes, which the page's style sheet fills in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

WIDTH = 400
"""Of every chart, in its own units: on a narrow screen a chart is about as wide as this."""

LEFT, RIGHT = 1, 1


@dataclass(frozen=True)
class Scale:
    """Values low .. high as positions left .. right."""

    low: float
    high: float
    left: float = LEFT
    right: float = WIDTH - RIGHT

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    @classmethod
    def around(cls, low: float, high: float) -> Scale:
        """A little wider than the values; of one value, a range around it."""
        pad = (high - low) * 0.03 or max(abs(low) * 0.1, 0.5)
        return cls(low - pad, high + pad)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers (1, 2 or 5 times a power of ten) inside the range."""
        step = _round_step((self.high - self.low) / about)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(unit * power for unit in (1, 2, 5, 10) if unit * power >= step * 0.999)


def number(value: float) -> str:
    """A number as short as its size allows: 1,234 and 12.3 and 0.0012."""
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "none"
    if abs(value) >= 100_000_000 or abs(value) < 0.0001:
        return f"{value:.2g}".replace("-", "\u2212")
    decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) < 1000 else 0
    text = f"{value:,.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "\u2212")


def share(part: float, whole: float) -> str:
    """A percentage that is 0% or 100% only where it is exactly that."""
    if not whole or part in (0, whole):
        return "100%" if whole and part else "0%"
    percent = 100 * part / whole
    if percent < 0.1 or percent > 99.9:
        return "<0.1%" if percent < 0.1 else ">99.9%"
    return f"{percent:.1f}%" if percent < 10 or percent > 99 else f"{percent:.0f}%"


def svg(height: float, label: str, *parts: str) -> str:
    """The whole picture; `label` is what a screen reader says of it."""
    body = "\n".join(parts)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">\n{body}\n</svg>'
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words at a place; `anchor` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def bar(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> str:
    """A filled rectangle with words that show under the pointer; nothing where it has no width."""
    if width <= 0 or height <= 0:
        return ""
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" class="{kind}">{title}</rect>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" class="{kind}"/>'


def axis(scale: Scale, y: float, words: str, top: float, write: Callable[[float], str] = number) -> str:
    """Ticks with light lines up to `top`, and below them what is measured; 34 high."""
    parts = [line(scale.left, y, scale.right, y, "axis")]
    for value in scale.ticks():
        x = scale(value)
        parts += [line(x, top, x, y + 4, "grid"), text(x, y + 15, write(value), "tick", _anchor(x))]
    parts.append(text((scale.left + scale.right) / 2, y + 30, words, "tick", "middle"))
    return "\n".join(parts)


def _anchor(x: float) -> str:
    """Numbers at the edges stay inside."""
    return "start" if x < 20 else "end" if x > WIDTH - 20 else "middle"
