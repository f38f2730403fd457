"""How a command ends: done, with a typed error, or stopped by a signal; one line and an exit code for each."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from hfneg.base import store
from hfneg.base.scrubbing import scrub
from hfneg.cli.common import last_resort, verbose
from hfneg.errors import DiskFullError, HfnegError, InUseError, OutputError, OutputExistsError, ResumeError

err = Console(stderr=True)

EXIT_INPUT, EXIT_OUTPUT, EXIT_WORK = 2, 3, 4
FLAGS = (
    "remine",
    "resume",
    "overwrite",
    "wait",
    "trust",
    "missing",
    "positives_are",
    "given",
    "symmetric",
    "classes",
    "anchor",
    "positive",
)
SKIP = r"load_pairs\(\.\.\., skip_missing=True\) leaves such rows out, and so does dataset\.filter"
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
AGAIN = "run the same command again"


class Stopped(KeyboardInterrupt):
    """A signal that asks a command to end; like Ctrl-C, so that whatever cleans up behind that does so here too."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def endings(output: str, again: Callable[[], str] = lambda: AGAIN) -> Iterator[None]:
    """A typed error becomes one paragraph and an exit code; anything else is a bug and keeps its traceback.

    `output` names the options with which an output that is there already can be dealt with; `again()` says how to go on
    where the command is stopped by SIGINT, SIGTERM or SIGHUP, which end it with 128 + the signal's number.
    """
    try:
        with _signals(), last_resort.unforeseen(err), store.disk_full_is_said():
            yield
    except HfnegError as error:
        hint = _hint(error, output) if isinstance(error, OutputError) else ""
        if verbose.wanted():
            _say(verbose.come_from(error))
        err.print(f"[bold red]error[/bold red] ({type(error).__name__}): ", end="")
        _say(f"{_with_flags(str(error))}{hint}")
        raise typer.Exit(_exit_code(error)) from None
    except BrokenPipeError:  # the reader of our output has enough: typer knows
        raise
    except (OSError, UnicodeError) as error:  # of the machine, not of the code: no permission, a disk that fails
        said = f"error ({type(error).__name__}): {scrub(str(error))}"
        _say(said.encode("utf-8", "backslashreplace").decode())
        raise typer.Exit(EXIT_WORK) from None
    except KeyboardInterrupt as stop:
        with contextlib.suppress(OSError):  # the terminal may be gone
            _say(f"stopped; {again()}")
        raise typer.Exit(128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)) from None


def goes_on(out: Path, *, overwrite: bool) -> str:
    """How to go on with a run in `out` that was stopped."""
    from hfneg.runs.folder import work_area

    begun = (out / work_area.WORK / work_area.RUN).is_file()
    if not begun and (overwrite or not (out / work_area.SUMMARY).is_file()):
        return f"nothing is begun in {out}: {AGAIN}"
    return f"the same command with --resume{' in place of --overwrite' * overwrite} goes on in {out}"


@contextmanager
def _signals() -> Iterator[None]:
    """The first signal raises `Stopped` where the program is, a second one kills; ignored ones (nohup) stay ignored."""
    before: dict[int, Any] = {}

    def stop(number: int, frame: Any) -> None:
        for other in before:
            signal.signal(other, signal.SIG_DFL)
        raise Stopped(number)

    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        usual = (signal.SIG_DFL, signal.default_int_handler)
        before.update({number: signal.getsignal(number) for number in numbers if signal.getsignal(number) in usual})
        for number in list(before):
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    err.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _exit_code(error: HfnegError) -> int:
    if isinstance(error, OutputError):
        return EXIT_OUTPUT
    return EXIT_INPUT if isinstance(error, ValueError) else EXIT_WORK


def _hint(error: OutputError, output: str) -> str:
    if isinstance(error, OutputExistsError):
        return ", --out gives another folder" if "resume=True" in str(error) else f" ({output})"
    if isinstance(error, DiskFullError | InUseError):
        return ""
    return " (--overwrite, --out)" if isinstance(error, ResumeError) else " (--out)"


def _with_flags(message: str) -> str:
    """Settings as they are typed here: ``remine=True`` is --remine, ``missing='add'`` is --missing add."""
    message = re.sub(SKIP, "--skip-missing leaves such rows out", message)
    message = re.sub(rf"\b({'|'.join(FLAGS)})=True( \(--\w+[^)]*\))?", r"--\1", message)
    message = re.sub(rf"\b({'|'.join(FLAGS)})='(\w+)'( \(--\w+[^)]*\))?", r"--\1 \2", message)
    return message.replace("--positives_are", "--positives-are")
