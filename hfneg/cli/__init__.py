"""The command line: ``hfneg mine``, ``hfneg export``, ``hfneg audit``. It parses, calls the library, and prints.

A command is one file, that `app.command` registers; they are listed here in the order of the help.
"""

from hfneg.cli import (  # isort: skip
    mine,
    export,
    select,
    examine,
    rounds,
    recipes,
    audit,
    calibrate,
    show,
    report,
    diff,
    store,
    push,
    reproduce,
)
from hfneg.cli.common import verbose
from hfneg.cli.common.app import app

COMMANDS = (
    mine,
    export,
    select,
    examine,
    rounds,
    recipes,
    audit,
    calibrate,
    show,
    report,
    diff,
    store,
    push,
    reproduce,
)

verbose.offer(app)

__all__ = ["app"]
