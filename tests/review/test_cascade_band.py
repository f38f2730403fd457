"""The band of a cascade from judged pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hfneg
from hfneg.errors import InputError, SettingError
from hfneg.review.calibrate.cascade import band_of


def drawn(n: int, seed: int) -> tuple[Any, Any]:
    """Scores 0 to 1; relevant with a chance that rises from .01 to .99 around a half."""
    draw = np.random.default_rng(seed)
    scores = draw.random(n).astype(np.float32)
    chance = 0.005 + 0.99 / (1 + np.exp(-14 * (scores - 0.5)))
    return scores, (draw.random(n) < chance).astype(np.float64)


def test_what_it_decides_alone_is_right() -> None:
    """In 40 draws of 300 pairs, of 20,000 others at most `errors` on the wrong side, but in 3; and much is decided."""
    others, truth = drawn(20_000, 10**6)
    failed, decided = 0, []
    for seed in range(40):
        band = band_of(*drawn(300, seed), 0.08)
        low, high = band.between
        assert low <= high
        below, above = others < low, others > high
        decided.append(float(np.mean(below | above)))
        failed += truth[below].mean() > 0.08 if below.any() else 0
        failed += 1 - truth[above].mean() > 0.08 if above.any() else 0
        assert band.unsure == pytest.approx(1 - (band.below + band.above) / 300)
    assert failed <= 3
    assert np.mean(decided) > 0.3


def test_by_hand() -> None:
    """100 pairs, relevant from 60 up: below 60 nothing is wrong, so is nothing above; the two limits meet."""
    scores = np.arange(100, dtype=np.float32)
    band = band_of(scores, (scores >= 60).astype(np.float64), 0.09)
    low, high = band.between
    assert 55 <= low == high <= 62
    assert (band.below, band.above) == (low, 99 - high)
    assert (band.wrong_below, band.wrong_above) == (max(low - 60, 0), max(59 - high, 0))
    none = band_of(scores, (np.arange(100) % 2).astype(np.float64), 0.09)
    assert none.between == (0.0, 99.0)
    assert none.unsure == 1


def test_from_a_file_of_judged_pairs() -> None:
    """The cheap teacher is asked about the pairs; the band goes into the cascade as it is."""

    def number(anchors: list[str], documents: list[str]) -> list[float]:
        return [float(document) for document in documents]

    cheap = hfneg.FunctionTeacher(number, id="number", scale="from_zero")
    rows = [{"anchor": "a", "document": str(i), "relevance": int(i >= 120)} for i in range(240)]
    band = hfneg.cascade_band(cheap, rows, errors=0.05)
    costly = hfneg.FunctionTeacher(number, id="costly", scale="probability")
    assert hfneg.Cascade([cheap, costly], between=band.between).between == band.between
    assert band.judged == 240
    assert 118 <= band.between[0] <= band.between[1] <= 130


@pytest.mark.parametrize(
    ("rows", "settings", "error"),
    [
        ([{"anchor": "a", "document": "1", "relevance": 1}] * 10, {}, InputError),
        ([{"anchor": "a", "document": str(i), "relevance": 1} for i in range(50)], {}, InputError),
        ([{"anchor_id": "a", "document_id": str(i), "relevance": i % 2} for i in range(50)], {}, InputError),
        ([{"anchor": "a", "document": str(i), "relevance": i % 2} for i in range(50)], {"errors": 0.5}, SettingError),
    ],
)
def test_refused(rows: list[dict[str, Any]], settings: dict[str, Any], error: type[Exception]) -> None:
    """Too few, of one kind, without texts; an error rate that is none."""
    cheap = hfneg.FunctionTeacher(lambda anchors, documents: [0.0] * len(anchors), id="zero", scale="from_zero")
    with pytest.raises(error):
        hfneg.cascade_band(cheap, rows, **settings)
