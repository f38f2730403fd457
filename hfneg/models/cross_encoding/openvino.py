"""A cross-encoder run by OpenVINO on a CPU: converted from torch once, checked against it, kept in the store.

Only the model is converted; tokens come from the model's own tokenizer, as with torch.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.arrays import Floats as Scores
from hfneg.errors import MissingExtraError, SettingError
from hfneg.models.cross_encoding.batches import Features, Forward, torch_forward
from hfneg.models.cross_encoding.first_token import first_token_alone
from hfneg.models.weights import name_of

FORMAT = 1
KIND = "converted"  # in the store
FILE = "model.xml"
PRECISIONS = {None: "f32", "float32": "f32", "bfloat16": "bf16"}
CLOSE = 1e-4  # logits to torch's, both float32, as a share of the largest


def require_openvino(asker: str) -> None:
    """MissingExtraError where OpenVINO is not installed; imports nothing."""
    if "openvino" not in sys.modules and importlib.util.find_spec("openvino") is None:
        raise MissingExtraError(
            f"{asker} needs OpenVINO, which is not installed: pip install 'hfneg[openvino]', or use engine='torch'"
        )


def openvino_forward(model: Any, weights: str, dtype: str | None) -> Forward:
    """A CrossEncoder as a function from tensors [rows, width] to float32 [n], the logits of the first n rows.

    Args:
        model: in memory, on the CPU, in float32 and in evaluation mode.
        weights: its digest, under which the converted model is kept.
        dtype: "bfloat16" computes in it; None and "float32" in float32.

    Raises SettingError: the model cannot be converted, gives other scores than torch, or the CPU lacks bfloat16.
    """
    names = list(_tensors(model, _pairs(8)))
    digest = store.digest_of(FORMAT, weights, names, _openvino().__version__)
    folder = store.build(KIND, digest, lambda partial: _convert(model, partial / FILE))
    return _forward(str(folder / FILE), names, PRECISIONS[dtype])


def _forward(path: str, names: list[str], precision: str) -> Forward:
    import torch

    request = _request(path, precision, torch.get_num_threads())

    def forward(features: Features, n: int) -> Scores:
        logits = request.infer([features[name].numpy() for name in names])[0]
        return np.array(logits.reshape(len(logits), -1)[:n, 0], dtype=np.float32)

    return forward


@lru_cache(maxsize=2)
def _request(path: str, precision: str, threads: int) -> Any:
    """The model made ready; kept, for the next call comes soon and making it takes a part of a second."""
    core = _core()
    no_bfloat16 = SettingError("dtype='bfloat16': this CPU does not compute in bfloat16; leave dtype out")
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise no_bfloat16
    settings = {
        "INFERENCE_PRECISION_HINT": precision,  # else it takes bfloat16 where the CPU has it
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    try:
        return core.compile_model(path, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        if precision != "bf16":
            raise
        raise no_bfloat16 from error  # it has the instructions, and ONEDNN_MAX_CPU_ISA forbids them


@lru_cache(maxsize=1)
def _core() -> Any:
    """One for the life of the process.

    A Core gives its thread a stack for signal handlers. Of two that end in the order they were made, the second puts
    back the stack of the first, which is gone by then: the next signal (Ctrl-C, a DataLoader's worker that ends) kills
    the process with a segmentation fault.
    """
    return _openvino().Core()


def _openvino() -> Any:
    """The package; where this is its first import, without the part that reports its use to its makers unasked."""
    if "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # not to be found: it is optional
        try:
            import openvino
        finally:
            del sys.modules["openvino_telemetry"]
    import openvino

    return openvino


# Conversion.


def _convert(model: Any, path: Path) -> None:
    """Write the converted model to `path`, if it scores as torch does."""
    import torch

    example = _tensors(model, _pairs(8))

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, *tensors: Any) -> Any:
            return self.inner(dict(zip(example, tensors, strict=True)))["scores"]

    openvino = _openvino()
    try:
        with first_token_alone(model), _quiet(), torch.no_grad():
            made = openvino.convert_model(Logits().eval(), example_input=tuple(example.values()))
            _save(made, path, model)
        apart = _apart(model, path, list(example))
    except OSError:
        raise
    except Exception as error:  # tracing runs the model's own code: it may raise anything
        _refuse_full_disk(model, path, error)  # OpenVINO does not look whether the end of a file got to the disk
        raise _refused(model, f"cannot be converted ({_first_cause(error)})") from error
    if not apart <= CLOSE:
        raise _refused(model, f"scores otherwise when converted (logits differ by {apart:.1e} of the largest)")


def _save(made: Any, path: Path, model: Any) -> None:
    """OpenVINO says "iostream error" where the disk is full."""
    try:
        _openvino().save_model(made, path, compress_to_fp16=False)
    except RuntimeError as error:
        _refuse_full_disk(model, path, error)
        raise


def _refuse_full_disk(model: Any, path: Path, error: Exception) -> None:
    """OSError where the model, as large as it is, would not have had room beside what is there of it."""
    nbytes = sum(weights.nbytes for weights in model.parameters())
    there = sum(part.stat().st_size for part in path.parent.iterdir())
    if shutil.disk_usage(path.parent).free + there < nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def _apart(model: Any, path: Path, names: list[str]) -> float:
    """How far the converted model's logits are from torch's, in batches of other shapes than it was traced with."""
    import torch

    converted, whole, worst = _forward(str(path), names, "f32"), torch_forward(model), 0.0
    for longest in (3, 60, 400):
        features = _tensors(model, _pairs(longest))
        with torch.inference_mode():
            wanted = whole(features, len(features[names[0]]))
        given = converted(features, len(wanted))
        worst = max(worst, float(np.abs(given - wanted).max() / (1 + np.abs(wanted).max())))
    _request.cache_clear()  # the file gets another name
    return worst


def _pairs(longest: int) -> list[list[str]]:
    """16 pairs of 1 to `longest` words."""
    rng = np.random.default_rng(longest)
    words = ["a", "the", "of", "is", "what", "it", "no", "house", "x"]
    sizes = np.linspace(1, longest, 16).astype(int)
    return [[" ".join(rng.choice(words, size)) for size in (1 + at % 5, sizes[at])] for at in range(16)]


def _tensors(model: Any, pairs: list[list[str]]) -> Features:
    """Tensors [n, width] by name, as the model's tokenizer makes them."""
    return {name: value for name, value in model.preprocess(pairs).items() if hasattr(value, "shape")}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings about tracing: the result is checked. OpenVINO quiets the root logger, and leaves it so on errors."""
    from transformers.utils import logging as transformers_logging

    root = logging.getLogger()
    before, level, handlers = transformers_logging.get_verbosity(), root.level, root.handlers[:]
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(before)
        root.setLevel(level)
        root.handlers[:] = handlers


def _first_cause(error: BaseException) -> str:
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def _refused(model: Any, why: str) -> SettingError:
    inner = type(getattr(model, "model", None) or model).__name__
    return SettingError(f"engine='openvino': the model {name_of(model)!r} ({inner}) {why}; use engine='torch'")
