"""The anchors' texts of a finished ledger, some thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.errors import InputError
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.mined import refuse_damaged


def anchor_texts(ledger: MinedLedger) -> Iterator[pa.StringArray]:
    """The texts in the order of the anchors' numbers.

    Raises InputError where a file of the ledger is damaged.
    """
    refuse_damaged(ledger.folder, "ledger/")
    for path in sorted((ledger.folder / "ledger").glob("*.parquet")):
        try:
            for batch in pq.ParquetFile(path).iter_batches(4096, columns=["anchor"]):
                yield batch.column(0)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is damaged ({error}); copy the whole folder, or mine again") from error
