"""``--verbose``, an option of every command: log lines that are else too many, and where an error comes from."""

from __future__ import annotations

import contextvars
import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from hfneg.base.scrubbing import scrub

_wanted: contextvars.ContextVar[bool] = contextvars.ContextVar("verbose", default=False)

OPTION = Annotated[
    bool,
    typer.Option("--verbose", "-v", metavar="", help="More log lines, and with an error where it comes from."),
]


def wanted() -> bool:
    """Whether the command that runs was called with --verbose."""
    return _wanted.get()


def come_from(error: BaseException) -> str:
    """The traceback of an error, without secrets."""
    return scrub("".join(traceback.format_exception(type(error), error, error.__traceback__)))


def offer(app: typer.Typer) -> None:
    """Give every command of `app` and of its groups the option."""
    for command in _commands(app):
        assert command.callback is not None
        command.callback = _verbose(command.callback)


def _commands(app: typer.Typer) -> Iterator[Any]:
    yield from app.registered_commands
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance)


def _verbose(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def run(*arguments: Any, verbose: bool, **options: Any) -> None:
        before = _wanted.set(verbose)
        try:
            command(*arguments, **options)
        finally:
            _wanted.reset(before)

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=OPTION)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    run.__annotations__ = {**inspect.get_annotations(command, eval_str=True), "verbose": OPTION}
    return run
