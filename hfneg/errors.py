"""Every error hfneg raises on purpose.

::

    HfnegError
    ├── InputError (ValueError)      what was given cannot be used
    │   ├── ColumnError              a column is missing, taken, or holds the wrong thing
    │   ├── EmptyInputError          nothing to work on
    │   ├── DocumentError            a document or its id is unusable
    │   ├── PositiveError            a positive is missing or not in the corpus
    │   ├── SettingError             a parameter is outside what makes sense
    │   └── RecipeError              a recipe that does not say what to do
    ├── NonFiniteError               a model or retriever returned NaN or infinity
    ├── RetrieverError               a retriever broke its contract (shape, rows, order)
    ├── TeacherError                 a teacher broke its contract (one score per pair)
    │   ├── BudgetError              what a teacher may cost is spent
    │   ├── EndpointError            a teacher's server is down, slow, refuses, or answers nonsense
    │   └── NeedsTeacher             a ledger lacks scores that only the teacher can give
    ├── OutOfMemoryError (MemoryError)    not even one row of a model's batch fits into memory
    ├── TrainingError                a training left no checkpoint, or none that can be used
    ├── OutputError                  the output folder cannot be used
    │   ├── DiskFullError            no space is left where something is written
    │   ├── InUseError               another process works in it
    │   ├── OutputExistsError        it is there already, and nobody said resume or overwrite
    │   └── ResumeError              it belongs to a run with other inputs
    ├── PublishError                 the Hub, or what it holds, does not let a round be published or read
    │   └── AccessError              no token, a wrong one, or one without the rights
    ├── StoreError                   an artefact is missing, damaged or of a newer version
    │   └── DamagedError             a file of the store or of an unfinished run is not what was written
    ├── ProcessError                 work was started in a process that cannot do it
    │   └── WorkerDiedError          a worker process ended before its unit was finished
    └── MissingExtraError (ImportError)   an optional part is not installed

Each message says what was given, what was expected and what to do next; secrets are taken out of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hfneg.base.scrubbing import scrub

__all__ = [
    "AccessError",
    "BudgetError",
    "ColumnError",
    "DamagedError",
    "DiskFullError",
    "DocumentError",
    "EmptyInputError",
    "EndpointError",
    "HfnegError",
    "InUseError",
    "InputError",
    "MissingExtraError",
    "NeedsTeacher",
    "NonFiniteError",
    "OutOfMemoryError",
    "OutputError",
    "OutputExistsError",
    "PositiveError",
    "ProcessError",
    "PublishError",
    "RecipeError",
    "ResumeError",
    "RetrieverError",
    "SettingError",
    "StoreError",
    "TeacherError",
    "TrainingError",
    "WorkerDiedError",
    "near_miss",
]


class HfnegError(Exception):
    """The root: ``except hfneg.HfnegError`` catches everything raised on purpose.

    No message holds a token, a password or the query of a web address, whatever it was made of: see
    `hfneg.base.scrubbing`.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(scrub(part) if isinstance(part, str) else part for part in said))


class InputError(HfnegError, ValueError):
    """What was given cannot be used; nothing was done with it."""


class ColumnError(InputError):
    """A column is missing, already taken, or holds the wrong kind of value."""


class EmptyInputError(InputError):
    """A dataset, corpus or list without a single usable element."""


class DocumentError(InputError):
    """A document or a document id that cannot stand in a corpus."""


class PositiveError(InputError):
    """A positive that is missing, or that the corpus does not hold."""


class SettingError(InputError):
    """A parameter outside the values that make sense."""


class RecipeError(InputError):
    """A recipe with an unknown key, an unknown step or a step of the wrong kind."""


class NonFiniteError(HfnegError):
    """A model or a retriever returned NaN or infinity; the message names the text."""


class RetrieverError(HfnegError):
    """A retriever returned something that its contract does not allow."""


class TeacherError(HfnegError):
    """A teacher returned something that its contract does not allow: one finite score per pair."""


class BudgetError(TeacherError):
    """What a teacher may cost is spent before all that is needed was asked; what was asked is kept."""


class EndpointError(TeacherError):
    """The server behind a teacher is down, too slow, refuses, or answers nonsense; scores received so far are kept."""


class NeedsTeacher(TeacherError):  # noqa: N818 - the name says what to do
    """A ledger lacks teacher scores that are needed now; the message says how many, and how to have them made."""


class OutOfMemoryError(HfnegError, MemoryError):
    """A model, or one row of its input, does not fit into memory; the message says what makes it smaller."""


class TrainingError(HfnegError):
    """The training of a round left no checkpoint, or the next round was asked for before it had ended."""


class OutputError(HfnegError):
    """The output folder cannot be written or is not what it should be."""


class OutputExistsError(OutputError):
    """The output folder exists, and neither resume nor overwrite was asked for."""


class InUseError(OutputError):
    """Another process works in the folder; the message says which, on what machine, and since when."""


class ResumeError(OutputError):
    """The folder to resume belongs to a run with other inputs or another recipe."""


class DiskFullError(OutputError):
    """No space is left where something is written; what is finished is kept, and the run can be gone on with."""


class PublishError(HfnegError):
    """The Hub, or what a repository holds already, does not let a round be published or read; nothing is half there."""


class AccessError(PublishError):
    """No token, a wrong one, or one without the rights that are needed."""


class StoreError(HfnegError):
    """An artefact of the store is missing, damaged, or written by a newer version."""


class DamagedError(StoreError):
    """A file of the store, or of an unfinished run, is not what was written: its size or its checksum differs."""


class ProcessError(HfnegError):
    """Work was started in a process that cannot do it (forked child, live model elsewhere)."""


class WorkerDiedError(ProcessError):
    """A worker process ended before its unit was finished; finished units are kept."""


class MissingExtraError(HfnegError, ImportError):
    """An optional part is not installed; the message names the extra."""


def near_miss(given: object, allowed: Iterable[object]) -> str:
    """``" Did you mean 'text'?"`` when one of `allowed` is close to `given`, else ``""``."""
    close = difflib.get_close_matches(str(given), map(str, allowed), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
