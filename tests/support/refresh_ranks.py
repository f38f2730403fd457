"""Trains on two processes with HardNegativeRefresh: ``torchrun --nproc_per_node 2 refresh_ranks.py FOLDER``.

Each rank writes which version of the negatives each of its steps used, and how many texts it has encoded.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["ACCELERATE_USE_CPU"] = "true"
    from training_small import PAIRS, TEXTS, static_model, trainer_of

    import hfneg
    from hfneg.models import encoder as encoding, vectors

    vectors.PART_ROWS.update(document=16, query=8)
    folder = Path(sys.argv[1])
    encoded = []
    real = encoding.Encoder.encode

    def encode(self, texts, *args, **kwargs):  # type: ignore[no-untyped-def]
        encoded.append(len(texts))
        return real(self, texts, *args, **kwargs)

    encoding.Encoder.encode = encode  # type: ignore[method-assign]
    model = static_model(0)
    anchors = hfneg.Anchors(PAIRS, hfneg.Corpus.from_texts(TEXTS), anchor="query", positive="answer")
    recipe = hfneg.Recipe(retrievers=hfneg.Dense(model), k=8, sampler=hfneg.TakeTop(3))
    import torch.distributed as dist
    from sentence_transformers import SentenceTransformerTrainingArguments

    args = SentenceTransformerTrainingArguments(  # makes the process group
        output_dir=str(folder / "out"),
        per_device_train_batch_size=4,
        max_steps=9,
        learning_rate=0.05,
        use_cpu=True,
        ddp_backend="gloo",
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
    )
    _ = args.device
    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, recipe, out=folder / "refreshes", every_steps=3)
    trainer = trainer_of(model, args, refresh)
    trainer.train()
    facts = {"seen": trainer.seen, "encoded": sum(encoded), "history": refresh.history}
    (folder / f"rank-{dist.get_rank()}.json").write_text(json.dumps(facts))
    dist.barrier()  # whoever ends first would take the other's store with it
    os._exit(0)  # gloo's thread lets go of its last work under the GIL: at Python's end that now and then aborts (2.13)
