"""What models, functions and retrievers of users return, as NumPy arrays of numbers, or not at all."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
REAL = "biuf"  # NumPy's kinds of numbers that have an order


def as_numbers(given: Any) -> Numbers:
    """`given` as an array of real numbers: whole numbers stay whole, and what is no number yet becomes float64.

    Takes tensors as they come from a model: on any device, with a gradient, in any precision; also lists of them.

    Raises ValueError or TypeError, saying why: complex numbers, dates, texts, None, rows of several lengths, or a mask
    over some of the values.
    """
    array = np.asarray(_plain(given))
    if np.ma.is_masked(given):
        raise ValueError("some of its values are masked")
    if array.dtype.kind in REAL:
        return array
    if array.dtype.kind not in "OUST":
        raise ValueError(f"its values are {array.dtype}")
    if array.dtype == object and any(isinstance(value, complex) for value in array.flat):
        raise ValueError("its values are complex")
    return array.astype(np.float64)


def _plain(given: Any) -> Any:
    """Without tensors."""
    torch = sys.modules.get("torch")  # not loaded: then there are none
    if torch is None:
        return given
    if isinstance(given, torch.Tensor):
        return _array_of(given)
    if isinstance(given, list | tuple) and any(isinstance(value, torch.Tensor) for value in given):
        return [_plain(value) for value in given]
    return given


def _array_of(tensor: Any) -> Numbers:
    import torch

    try:
        here = tensor.detach().to_dense() if tensor.layout is not torch.strided else tensor.detach()
        whole = here.float() if here.dtype.is_floating_point and here.dtype.itemsize < 4 else here
        array: Numbers = whole.resolve_conj().cpu().numpy()
    except (NotImplementedError, RuntimeError) as error:  # a tensor without data (of the meta device), quantized, ...
        raise TypeError(f"a tensor that cannot be read: {next(iter(str(error).splitlines()), '')}") from None
    return array
