"""On this machine: in this process, or in one spawned process per device."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from hfneg.base.devices import DEVICE_VARIABLE, check, check_variable, cuda
from hfneg.errors import SettingError, WorkerDiedError


class LocalExecutor:
    """One worker process per device; without devices the work runs in this process.

    Args:
        devices: None (this process), "all" (every CUDA device, else this process), or device names, one
            worker each: ``["cuda:0", "cuda:1"]``, ``["cpu", "cpu"]``.

    Workers are spawned, not forked, so a script that starts them needs ``if __name__ == "__main__":``.

    Raises SettingError for a device that this machine has not, be it named here or by HFNEG_DEVICE.
    """

    def __init__(self, devices: str | Sequence[str] | None = None) -> None:
        if devices == "all":
            devices = cuda()
        if isinstance(devices, str):
            devices = [devices]
        named = isinstance(devices, list | tuple) and all(isinstance(name, str) and name for name in devices)
        if devices is not None and not named:
            raise SettingError(f"devices={devices!r}: expected None, 'all', or names such as ['cuda:0', 'cpu']")
        self.devices = list(devices or [])
        check(self.devices, "devices")
        if not self.devices:
            check_variable()

    def __repr__(self) -> str:
        return f"LocalExecutor(devices={self.devices!r})"

    @property
    def workers(self) -> int:
        return max(len(self.devices), 1)

    def run(self, work: Callable[[Any], None], units: Sequence[Any], done: Callable[[Any], None]) -> None:
        if len(self.devices) > 1 and len(units) > 1:
            self._run_in_processes(work, units, done)
            return
        with _device(self.devices[0] if self.devices else None):
            for unit in units:
                work(unit)
                done(unit)

    def _run_in_processes(self, work: Callable[[Any], None], units: Sequence[Any], done: Callable[[Any], None]) -> None:
        context = multiprocessing.get_context("spawn")
        devices = context.Queue()
        for name in self.devices:
            devices.put(name)
        waiting = list(reversed(units))
        running: dict[Future[None], Any] = {}
        ends, end = context.Pipe(duplex=False)
        start = functools.partial(_start_worker, devices, ends, work)
        with end, ProcessPoolExecutor(self.workers, context, initializer=start) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * self.workers:
                        unit = waiting.pop()
                        with _interrupts_held_back():
                            running[pool.submit(_run_unit, unit)] = unit
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        unit = running.pop(future)
                        future.result()
                        done(unit)
            except BrokenProcessPool as error:
                raise WorkerDiedError(
                    "a worker process ended before its unit was finished (out of memory, or killed); what was finished "
                    "is kept: start the same command again with resume"
                ) from error
            except Exception:
                raise
            except BaseException:  # stopped by a signal: nobody waits for units that may take minutes
                end.close()
                raise
            finally:
                for future in running:
                    future.cancel()


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that are started inside never see Ctrl-C, which a terminal sends to all: their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _device:  # noqa: N801
    """The environment variable that encoders read, set for a block."""

    def __init__(self, name: str | None) -> None:
        self.name = name

    def __enter__(self) -> None:
        self.before = os.environ.get(DEVICE_VARIABLE)
        if self.name is not None:
            os.environ[DEVICE_VARIABLE] = self.name

    def __exit__(self, *error: object) -> None:
        if self.name is not None:
            if self.before is None:
                del os.environ[DEVICE_VARIABLE]
            else:
                os.environ[DEVICE_VARIABLE] = self.before


_work: Callable[[Any], None]
"""Of a worker process: it arrives once, so that a model is loaded once and not for every unit."""


def _start_worker(devices: Any, ends: Any, work: Callable[[Any], None]) -> None:
    global _work
    _work = work
    os.environ[DEVICE_VARIABLE] = devices.get()
    threading.Thread(target=_end_with_parent, args=(ends,), daemon=True).start()


def _run_unit(unit: Any) -> None:
    _work(unit)


def _end_with_parent(ends: Any) -> None:
    """When the parent closes its end, or is gone: else a worker would wait for ever and keep its device's memory."""
    parent = multiprocessing.parent_process()
    multiprocessing.connection.wait([ends, *([] if parent is None else [parent.sentinel])])
    os._exit(1)
