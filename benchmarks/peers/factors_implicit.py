#!/usr/bin/env python3
"""Matrix factorisation with `implicit`: how long it takes, how well it does, how many users a second it serves.

Rows      --data DIR: train.txt and test.txt (or .gz), lines `user item item ..`; each pair counts once, with weight 1.
Model     AlternatingLeastSquares, two threads, its own conjugate gradients; by default alpha 40 and regularization 10, the
          best of a few settings tried on Gowalla's test rows: a ceiling for it, not a validated choice.
Ranking   all items but those of the user's training line; the first 20 kept. Every user with a test row, 1,000 a call (faster for it than
          one call for all).
Metrics   Recall@20 = hits / test items; NDCG@20 = binary gain, discount 1/log2(rank+1), ideal of min(20, test items) hits.
Times     medians of --times runs: `fit_s` without reading, `users_per_s` by wall time.

pip install -r benchmarks/peers/requirements.txt
"""

import argparse
import gzip
import json
import os
import statistics
import time
import warnings
from pathlib import Path

for pool in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{pool}_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
warnings.filterwarnings("ignore")

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

K = 20
DISCOUNT = 1 / np.log2(np.arange(2, K + 2))
IDEAL = np.concatenate([[0], np.cumsum(DISCOUNT)])
USERS_A_CALL = 1_000


def read_pairs(folder, name):
    path = folder / name
    path = path if path.exists() else folder / f"{name}.gz"
    users, items = [], []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
        for line in lines:
            user, *rest = map(int, line.split())
            users += [user] * len(rest)
            items += rest
    return np.array(users), np.array(items)


def matrix(pairs, shape):
    found = sp.csr_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape=shape)
    found.data[:] = 1
    return found


def recommend(model, history, users):
    ranked = np.empty((len(users), K), np.int32)
    for start in range(0, len(users), USERS_A_CALL):
        part = users[start : start + USERS_A_CALL]
        ranked[start : start + USERS_A_CALL] = model.recommend(part, history[part], N=K, filter_already_liked_items=True)[0]
    return ranked


def quality(ranked, test, users):
    hits = np.zeros(ranked.shape, np.float32)
    for row, user in enumerate(users):
        hits[row] = np.isin(ranked[row], test.indices[test.indptr[user] : test.indptr[user + 1]])
    relevant = np.diff(test.indptr)[users]
    return {
        "recall@20": float((hits.sum(1) / relevant).mean()),
        "ndcg@20": float(((hits * DISCOUNT).sum(1) / IDEAL[np.minimum(relevant, K)]).mean()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=15)
    parser.add_argument("--alpha", type=float, default=40.0)
    parser.add_argument("--regularization", type=float, default=10.0)
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()

    pairs = [read_pairs(args.data, name) for name in ("train.txt", "test.txt")]
    shape = tuple(1 + max(column.max() for column in columns) for columns in zip(*pairs))
    history, test = (matrix(part, shape) for part in pairs)
    users = np.flatnonzero(np.diff(test.indptr))

    fit_s, recommend_s = [], []
    for _ in range(args.times):
        model = AlternatingLeastSquares(
            factors=args.factors,
            iterations=args.sweeps,
            alpha=args.alpha,
            regularization=args.regularization,
            num_threads=2,
            random_state=42,
            use_gpu=False,
        )
        start = time.perf_counter()
        model.fit(history, show_progress=False)
        fit_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        ranked = recommend(model, history, users)
        recommend_s.append(time.perf_counter() - start)

    settings = {name: getattr(args, name) for name in ("factors", "sweeps", "alpha", "regularization")}

    def emit(metric, value, unit):
        line = {"metric": metric, "value": value, "unit": unit, "set": args.data.name, "settings": settings}
        print(json.dumps(line | {"model": "implicit als"}))

    for metric, value in quality(ranked, test, users).items():
        emit(metric, value, "fraction")
    emit("fit_s", statistics.median(fit_s), "s")
    emit("users_per_s", len(users) / statistics.median(recommend_s), "1/s")


if __name__ == "__main__":
    with threadpool_limits(1, "blas"):  # implicit runs its own threads over single-threaded BLAS
        main()
