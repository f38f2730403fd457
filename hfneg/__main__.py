"""``python -m hfneg``: the command line."""

from hfneg.cli import app

app(prog_name="hfneg")
