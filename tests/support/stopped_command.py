"""Run by tests as a process of its own: a command of hfneg to which a signal is sent at a known moment.

    stopped_command.py SIGNAL PLACE WHOM COMMAND...

PLACE: a function, as ``hfneg.runs.units:Choose.__call__``; when it is called, SIGNAL is sent to this process (WHOM
"itself"), to all of its group, as a terminal does ("all"), or twice ("twice"). In a worker process the parent is meant.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from typing import Any

SIGNAL, PLACE, WHOM, *COMMAND = sys.argv[1:]


def signalled(work: Any, parent: int) -> Any:
    @functools.wraps(work)
    def run(*args: Any, **kwargs: Any) -> Any:
        number = getattr(signal, SIGNAL)
        try:
            os.killpg(os.getpgid(0), number) if WHOM == "all" else os.kill(parent, number)
        except KeyboardInterrupt:
            if WHOM == "twice":
                os.kill(parent, number)
            raise
        if parent != os.getpid():
            signal.pause()  # until its parent ends it
        return work(*args, **kwargs)

    return run


def arm(parent: int) -> None:
    module, _, name = PLACE.partition(":")
    *owners, name = name.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    setattr(owner, name, signalled(getattr(owner, name), parent))


if __name__ == "__main__":
    from hfneg import cli

    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run under nohup, or with &, pass on that
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these are ignored
    arm(os.getpid())
    cli.app(COMMAND)
elif __name__ == "__mp_main__":  # a spawned worker
    arm(os.getppid())
