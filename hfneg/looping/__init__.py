"""Rounds: mine with the current checkpoint, train, re-encode, mine again."""

from hfneg.looping.loop import rounds
from hfneg.looping.mixing import mix_rounds
from hfneg.looping.record import Round

__all__ = ["Round", "mix_rounds", "rounds"]
