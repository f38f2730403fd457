"""What an encoder gave for texts: float32 [n, d], or refused; and whether it says anything of these texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.errors import NonFiniteError, SettingError
from hfneg.models.returned import as_numbers

Vectors32 = npt.NDArray[np.float32]


def as_vectors(given: Any, n: int, model: str, dimensions: int | None = None) -> Vectors32:
    """float32 [n, d], C-contiguous; with d = `dimensions` where that is known.

    Raises SettingError for anything else: complex numbers, texts, no columns, another number of rows.
    """
    try:
        with np.errstate(over="ignore"):  # too large for float32: infinite, and refused as such
            vectors: Vectors32 = np.ascontiguousarray(as_numbers(given), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"encode of {model!r} gave a {type(given).__name__} that is no array of numbers ({error}); it must give "
            "one vector per text: [n, d]"
        ) from None
    if vectors.ndim != 2 or len(vectors) != n or vectors.shape[1] != (dimensions or max(vectors.shape[1], 1)):
        raise SettingError(
            f"encode of {model!r} gave shape {vectors.shape} for {n} texts; it must give one vector per text: [n, d], "
            f"with n = {n} and d = {dimensions or '1 or more'}"
        )
    return vectors


def check_finite(vectors: Vectors32, texts: Sequence[str], label: Callable[[int], str]) -> None:
    """Raises NonFiniteError naming the first text whose vector holds NaN or infinity."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        first = int(bad[0])
        raise NonFiniteError(
            f"the model's vector of {label(first)} holds NaN or infinity, as do {len(bad) - 1} others of {len(texts)}; "
            f"the text begins {texts[first][:80]!r}: look at this text, or load the model in float32"
        )


def said_of_nothing(vectors: Vectors32, texts: Sequence[str], model: str) -> str | None:
    """A warning where some vectors are zero, or all are equal though the texts are not; None where that is not so.

    Raises SettingError where all vectors of different texts are zero: whatever came of them would be chance.
    """
    zero = np.flatnonzero(~vectors.any(axis=1))
    several = len(texts) > 1 and len(set(texts)) > 1
    if several and len(zero) == len(texts):
        raise SettingError(
            f"all {len(texts)} vectors that {model!r} gave are zero, so that every text is as near as any other; the "
            f"first begins {texts[0][:60]!r}: the model is broken, or does not know these words"
        )
    if len(zero):
        return (
            f"{len(zero)} of {len(texts)} vectors of {model!r} are zero: such a text is as near to one as to another, "
            f"and its neighbours are chance. The first begins {texts[zero[0]][:60]!r}: is it empty, or of another "
            "language?"
        )
    if several and (vectors == vectors[0]).all():
        return (
            f"all {len(texts)} vectors that {model!r} gave are equal, so that every text is as near as any other; the "
            f"first begins {texts[0][:60]!r}: the model is broken, or reads no more than these texts have in common"
        )
    return None


def normalised(vectors: Vectors32) -> Vectors32:
    """Each row divided by its length (float64); a zero vector stays zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1.0
    scaled: Vectors32 = (vectors / lengths[:, None]).astype(np.float32)
    return scaled
