"""On which device models run: its name, checked before any work, so that one that is not there is said in one line."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Sequence

from hfneg.errors import SettingError

DEVICE_VARIABLE = "HFNEG_DEVICE"

NAME = re.compile(r"(cpu|cuda|mps|xpu|hpu|npu|mlu|musa)(?::([0-9]+))?")


def chosen(name: str | None = None) -> str:
    """The device for a model: `name`, else that of the environment variable HFNEG_DEVICE, else cuda or the cpu.

    Raises SettingError for one that this machine has not.
    """
    if name is None:
        check_variable()
        name = os.environ.get(DEVICE_VARIABLE) or None
    else:
        check([name], "device")
    return name or ("cuda" if cuda() else "cpu")


def check_variable() -> None:
    """Raise SettingError where HFNEG_DEVICE names a device that this machine has not."""
    named = os.environ.get(DEVICE_VARIABLE)
    if named:
        check([named], DEVICE_VARIABLE)


def check(names: Sequence[str], said: str) -> None:
    """Raise SettingError for the first that this machine has not; `said` is the setting. For "cpu" torch stays out."""
    for name in names:
        wrong = _wrong(name)
        if wrong is not None:
            raise SettingError(
                f"{said}: {name!r} cannot be used, {wrong}; this machine has {', '.join(_there())} (without {said} one "
                "is chosen)"
            )


def cuda() -> list[str]:
    """The CUDA devices of this machine."""
    import torch

    return [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []


def _wrong(name: str) -> str | None:
    """Why it cannot be worked on; None where it can."""
    if name in ("cpu", "cpu:0"):
        return None
    named = NAME.fullmatch(name)
    if named is None:
        return "'all' stands alone" if name == "all" else "which is no name of a device"
    kind, index = named[1], int(named[2] or 0)
    if kind == "cpu":
        return "there is one cpu, whatever its cores"
    if kind == "cuda":
        found = len(cuda())
        return None if index < found else f"torch finds {found or 'no'} CUDA device{'s' * (found != 1)}"
    return _refused(name)


def _refused(name: str) -> str | None:
    """What torch says to a device of another kind."""
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        return f"torch says {reprlib.repr(next(iter(str(error).splitlines()), type(error).__name__))}"
    return None


def _there() -> list[str]:
    import torch

    return [*cuda(), *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
