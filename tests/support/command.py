"""The command line as a test calls it."""

from __future__ import annotations

from typer.testing import CliRunner

from hfneg import cli


def hfneg(*arguments: object, code: int = 0) -> str:
    """What ``hfneg ...`` prints, on stdout and stderr; it must end with `code`."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def one_line(text: str) -> str:
    return " ".join(text.split())
