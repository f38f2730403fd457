"""From a mined dataset to exactly the columns that a loss, or another tool, takes.

Formats are the only place in hfneg where rows are multiplied or dropped; each says how many through
``logging.getLogger("hfneg.formats")`` (WARNING for dropped, INFO for multiplied). A ``Dataset`` is counted
beforehand; a stream reports as it goes, each time the number of rows seen has doubled.

======================  ============================================  ====================================
format                  columns                                       losses
======================  ============================================  ====================================
tuples                  anchor, positive, negative_1 .. negative_n    MultipleNegativesRanking, Cached...
triplets                anchor, positive, negative                    Triplet, SparseTriplet, GISTEmbed
labelled_pairs          anchor, document, label                       Contrastive, BinaryCrossEntropy
scored_pairs            anchor, document, score                       CoSENT, AnglE, CosineSimilarity, MSE
margin_mse              as tuples, and label: n + 1 scores            MarginMSE
distillation            as tuples, and label: n + 1 scores            DistillKLDiv
listwise                anchor, documents, labels                     Lambda, ListNet, ListMLE, RankNet...
ids                     query_id, positive_id, negative_ids           any, through ``resolve_ids``
======================  ============================================  ====================================

``write_flagembedding``, ``write_tevatron`` and ``write_pylate`` write those tools' files; ``export`` writes
any format by name.
"""

from hfneg.formats.files import write_flagembedding, write_tevatron
from hfneg.formats.identifying import ids, lookups
from hfneg.formats.pylate import write_pylate
from hfneg.formats.registry import FILE_FORMATS, FORMATS, TRAINER_FORMATS, export
from hfneg.formats.training import distillation, labelled_pairs, listwise, margin_mse, scored_pairs, triplets, tuples

__all__ = [
    "FILE_FORMATS",
    "FORMATS",
    "TRAINER_FORMATS",
    "distillation",
    "export",
    "ids",
    "labelled_pairs",
    "listwise",
    "lookups",
    "margin_mse",
    "scored_pairs",
    "triplets",
    "tuples",
    "write_flagembedding",
    "write_pylate",
    "write_tevatron",
]
