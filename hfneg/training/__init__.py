"""Rounds: mine with the current checkpoint, train, re-encode, mine again. And mining inside one training."""
