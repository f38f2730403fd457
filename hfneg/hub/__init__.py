"""Publishing: a mined folder as a versioned dataset on the Hub, and its provenance read back.

`publish` writes one round: ids and scores, queries, the documents named, the ledger, text formats by choice, a card,
all in one commit with a tag. `read_card` gives what is said of a round, for whoever wants to make it again.
"""
