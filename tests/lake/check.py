"""A shop on services: is the training set that Spark computes from the lake on S3 the one that `merx train` makes from the log?

    python check.py MERX CONFIG        (services and CONFIG by dev/services up; needs pyspark and pyarrow)
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request

merx, config = sys.argv[1:3]
SHOP = ["--products", "500", "--shoppers", "3000", "--days", "60", "--visits-per-minute", "0"]


def call(path, key, body=None):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers), timeout=60) as answer:
        return json.load(answer)


def job(kind):
    """Runs a job to its end and returns its result."""
    asked = call("/v1/jobs", keys["admin_key"], {"kind": kind})
    for _ in range(600):
        found = call(f"/v1/jobs/{asked['id']}", keys["admin_key"])
        if found["state"] in ("done", "failed"):
            assert found["state"] == "done", found
            return found["result"]
        time.sleep(0.5)
    sys.exit(f"the job {kind} has no end")


with tempfile.TemporaryDirectory() as folder:
    ready = pathlib.Path(folder) / "ready.json"
    server = subprocess.Popen(
        [merx, "demo", *SHOP, "--config", config, "--data", f"{folder}/shop", "--set", "server.listen=127.0.0.1:0", "--ready-file", ready],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not ready.exists():
            assert server.poll() is None, "the server stopped"
            time.sleep(0.2)
        keys = json.loads(ready.read_text())
        url = keys["url"]
        exported, trained = job("export"), job("training")
    finally:
        server.terminate()
        server.wait()
    storage = tomllib.loads(pathlib.Path(config).read_text())["storage"]
    lake = storage["lake"]
    environment = dict(os.environ)
    program = pathlib.Path(__file__).with_name("training_set.py")
    printed = subprocess.run(
        [sys.executable, program, lake, "--out", f"{folder}/set"], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found = json.loads(printed.splitlines()[-1])
    print(json.dumps({"exported": exported, "spark": found, "merx": {key: trained[key] for key in ("events", "shoppers", "products")}}))
    assert found["executors"] == 2, found
    assert (found["events"], found["shoppers"]) == (trained["events"], trained["shoppers"]), "two training sets"
    assert 0 < found["products"] <= trained["products"]
    print("the same training set, computed by a cluster from the lake")
