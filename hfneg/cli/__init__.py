"""The command line: ``hfneg mine``, ``hfneg export``, ``hfneg audit``. It parses, calls the library, and prints.

A command is one file, that `app.command` registers; they are listed here in the order of the help.
"""

from hfneg.cli import mine, export, select, examine, rounds, recipes  # noqa: F401, I001 - make
from hfneg.cli import audit, calibrate, leak_rate, show, report, diff, store  # noqa: F401 - look back
from hfneg.cli import push, reproduce  # noqa: F401 - share
from hfneg.cli.common import verbose
from hfneg.cli.common.app import app

verbose.offer(app)

__all__ = ["app"]
