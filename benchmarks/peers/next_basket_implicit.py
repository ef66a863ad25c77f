#!/usr/bin/env python3
"""Next basket with `implicit` and simple counting, on the rows of a split that Merx exported.

Rows      --split DIR: train.jsonl (a row a customer, or a basket without one), test.jsonl (history and relevant items of a
          question), split.json; as written by `merx bench recommend --format invoices --data .. --export-split DIR`.
Ranking   all items; items of the history are ranked too where split.json says `repeats`.
Metrics   as in Merx: NDCG@20 = binary gain, discount 1/log2(rank+1), ideal of min(20, relevant); Recall@20 = hits / relevant;
          hit rate; MRR of the first hit. Means over questions.
Models    each on counts of baskets, their logarithm, and 0/1:
          als          64 factors, 15 iterations: (alpha, regularization) (40, 10), (10, 1), (1, .01); tastes recomputed from the
                       history of the question
          tfidf, cosine, bm25   item-to-item, 100 neighbours an item
          and personal (items by how often the customer bought them, then by popularity), popular.
          The best line of a family is a ceiling for it: these settings aren't validated.

pip install implicit==0.7.3 numpy scipy threadpoolctl
"""

import argparse
import json
import os
import time
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
warnings.filterwarnings("ignore")

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from threadpoolctl import threadpool_limits

K = 20
DISCOUNT = 1 / np.log2(np.arange(2, K + 2))


def read(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def matrix(rows, items, weigh):
    indptr, indices, data = [0], [], []
    for row in rows:
        counts = Counter(row)
        indices += counts.keys()
        data += (weigh(count) for count in counts.values())
        indptr.append(len(indices))
    return sp.csr_matrix((np.array(data, np.float32), indices, indptr), shape=(len(rows), items))


def metrics(ranked, relevant):
    totals = Counter()
    for found, wanted in zip(ranked, relevant):
        hits = np.isin(found[:K], wanted)
        places = np.flatnonzero(hits)
        totals["ndcg@20"] += DISCOUNT[places].sum() / DISCOUNT[: min(len(wanted), K)].sum()
        totals["recall@20"] += len(places) / len(wanted)
        totals["hit_rate@20"] += len(places) > 0
        totals["mrr@20"] += 1 / (places[0] + 1) if len(places) else 0
    return {name: float(total / len(relevant)) for name, total in totals.items()}


def emit(model, settings, figures, **seconds):
    for metric, value in figures.items():
        print(json.dumps({"metric": metric, "value": round(value, 6), "unit": "fraction", "model": model, "settings": settings}))
    for metric, value in seconds.items():
        print(json.dumps({"metric": metric, "value": round(value, 3), "unit": "s", "model": model, "settings": settings}))


def models():
    als = dict(factors=64, iterations=15, num_threads=2, random_state=42, use_gpu=False)
    for alpha, regularization in [(40.0, 10.0), (10.0, 1.0), (1.0, 0.01)]:
        settings = dict(alpha=alpha, regularization=regularization)
        yield "als", settings, lambda s=settings: AlternatingLeastSquares(**als, **s)
    yield "tfidf", {}, lambda: TFIDFRecommender(K=100, num_threads=2)
    yield "cosine", {}, lambda: CosineRecommender(K=100, num_threads=2)
    yield "bm25", {}, lambda: BM25Recommender(K=100, num_threads=2)


def counting(train, test, items):
    popular = Counter(item for row in train for item in row)
    order = [item for item, _ in popular.most_common(K)]
    emit("popular", {}, metrics([np.array(order)] * len(test), [q["relevant"] for q in test]))
    ranked = []
    for question in test:
        counts = Counter(question["history"])
        mine = sorted(counts, key=lambda item: (-counts[item], -popular[item]))
        ranked.append(np.array((mine + [item for item in order if item not in counts])[:K]))
    emit("personal", {}, metrics(ranked, [q["relevant"] for q in test]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", type=Path, required=True)
    folder = parser.parse_args().split
    about = json.loads((folder / "split.json").read_text())
    train = [row["items"] for row in read(folder / "train.jsonl")]
    test = read(folder / "test.jsonl")
    relevant = [question["relevant"] for question in test]
    counting(train, test, about["items"])
    weights = {"counts": float, "log": lambda count: 1 + np.log(count), "binary": lambda count: 1.0}
    for weighing, weigh in weights.items():
        fit_on = matrix(train, about["items"], weigh)
        history = matrix([question["history"] for question in test], about["items"], weigh)
        for name, settings, build in models():
            model, start = build(), time.perf_counter()
            model.fit(fit_on, show_progress=False)
            fit_s, start = time.perf_counter() - start, time.perf_counter()
            options = dict(N=K, filter_already_liked_items=not about["repeats"])
            if name == "als":
                options["recalculate_user"] = True
            ranked = model.recommend(np.arange(len(test)), history, **options)[0]
            recommend_s = time.perf_counter() - start
            emit(name, settings | {"weights": weighing}, metrics(ranked, relevant), fit_s=fit_s, recommend_s=recommend_s)


if __name__ == "__main__":
    with threadpool_limits(1, "blas"):  # implicit runs its own threads over single-threaded BLAS
        main()
