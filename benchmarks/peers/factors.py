#!/usr/bin/env python3
"""Merx and `implicit` on the same factorisation, one after the other in one run, and what the one is of the other.

  python benchmarks/peers/factors.py --data gowalla --merx target/release/merx

Both sides get two threads, the same rows, as many factors and sweeps, and the median of three. Prints every line of both sides
and then, for each metric, `{"metric", "merx", "implicit", "ratio"}`; the ratio is above 1 where Merx is better.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path


def lines(command):
    print("$", " ".join(map(str, command)), file=sys.stderr)
    run = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    print(run.stdout, end="", flush=True)
    return {line["metric"]: line for line in map(json.loads, run.stdout.splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--merx", type=Path, default=Path("target/release/merx"))
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=15)
    args = parser.parse_args()
    size = ["--factors", args.factors, "--sweeps", args.sweeps]

    peer = lines([sys.executable, Path(__file__).with_name("factors_implicit.py"), "--data", args.data, *size])
    merx = lines([args.merx, "bench", "factors", "--data", args.data, *size])
    merx |= lines([args.merx, "bench", "batch", "--data", args.data, *size])
    for metric, line in peer.items():
        ours, theirs = merx[metric]["value"], line["value"]
        ratio = theirs / ours if line["unit"] == "s" else ours / theirs
        print(json.dumps({"metric": metric, "merx": ours, "implicit": theirs, "ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
