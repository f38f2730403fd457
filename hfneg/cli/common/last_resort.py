"""What the command line does with an error that nobody foresaw: its traceback is shown, and no secret with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from hfneg.base.scrubbing import traceback_to_scrub
from hfneg.errors import HfnegError

EXIT_BUG = 1


@contextmanager
def unforeseen(err: Console) -> Iterator[None]:
    """An error that is none of ours goes on as it is, unless some library shows a secret in it.

    Then the whole traceback, with all chained errors, is printed here and scrubbed, and the command ends with 1, as
    Python would.
    """
    try:
        yield
    except (HfnegError, typer.Exit, typer.Abort):
        raise
    except Exception as error:
        shown = traceback_to_scrub(error)
        if shown is None:
            raise
        err.print(shown, end="", markup=False, highlight=False, emoji=False, soft_wrap=True)
        raise typer.Exit(EXIT_BUG) from None
