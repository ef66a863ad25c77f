"""Computes the training set of the recommender from the lake, on a cluster: the same rows that `merx train` makes from the log.

    python training_set.py LAKE [--window-days 365] [--master local-cluster[2,1,1024]] [--out FOLDER]

LAKE is a folder (`DATA/lake`) or s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=R, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the
environment. Executors read the Parquet files themselves, with pyarrow, so that no connector has to be on the cluster. Prints one JSON object:
how many events teach, of how many shoppers, and how many interactions there are; --out writes them (subject, product, meaning, at_s).
"""

import argparse
import json
import os
import sys
import time
import urllib.parse

from pyarrow import fs
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

# As the names of events are in the lake, and what they mean to a recommender.
TEACHES = {
    **dict.fromkeys(("Product Clicked", "Product Viewed", "Product Shared", "Product Reviewed"), "viewed"),
    **dict.fromkeys(("Product Added", "Product Added to Wishlist", "Wishlist Product Added to Cart"), "carted"),
    "Order Completed": "purchased",
}
# Bits of the purposes of consent.
PERSONALISATION = 4
NEWEST_OF_A_SHOPPER = 1_000
LONGEST_CHAIN = 16
FIELDS = "subject string, kind string, at_s bigint, received_ms bigint, denied int, merged_from string, products array<string>"


def file_system(lake):
    """A file system and the folder of the events in it."""
    if not lake.startswith("s3://"):
        return fs.LocalFileSystem(), os.path.join(lake, "events")
    place = urllib.parse.urlsplit(lake)
    options = dict(urllib.parse.parse_qsl(place.query))
    endpoint = urllib.parse.urlsplit(options.get("endpoint", ""))
    s3 = fs.S3FileSystem(
        region=options.get("region", "us-east-1"), endpoint_override=endpoint.netloc or None, scheme=endpoint.scheme or "https"
    )
    return s3, f"{place.netloc}{place.path}/events"


def parts(lake):
    """Paths of the Parquet files. A merged part lists the parts that it holds; these may still lie beside it."""
    import pyarrow.parquet as parquet

    files, folder = file_system(lake)
    paths = {info.path for info in files.get_file_info(fs.FileSelector(folder, recursive=True)) if info.path.endswith(".parquet")}
    held = set()
    for path in (path for path in paths if path.endswith("/merged.parquet")):
        metadata = parquet.read_metadata(path, filesystem=files).metadata or {}
        held.update(os.path.join(os.path.dirname(path), f"{part}.parquet") for part, _ in json.loads(metadata[b"merx.parts"]))
    return sorted(paths - held)


def read(lake):
    """Reads the files whose paths come in, on an executor."""

    def batches(paths):
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as parquet

        files, _ = file_system(lake)
        columns = ["subject", "kind", "occurred_at", "received_at", "consent_denied", "merged_from", "lines"]
        for batch in paths:
            for path in batch.column(0).to_pylist():
                for rows in parquet.ParquetFile(path, filesystem=files).iter_batches(columns=columns):
                    lines = [[line["product"] for line in lines or []] for lines in rows.column("lines").to_pylist()]
                    yield pa.record_batch(
                        [
                            rows.column("subject"),
                            rows.column("kind"),
                            pc.floor(pc.divide(pc.cast(pc.cast(rows.column("occurred_at"), pa.int64()), pa.float64()), 1000.0)).cast(pa.int64()),
                            pc.cast(rows.column("received_at"), pa.int64()),
                            pc.cast(rows.column("consent_denied"), pa.int32()),
                            rows.column("merged_from"),
                            pa.array(lines, pa.list_(pa.string())),
                        ],
                        names=["subject", "kind", "at_s", "received_ms", "denied", "merged_from", "products"],
                    )

    return batches


def training_set(spark, lake, window_days):
    paths = parts(lake)
    files = spark.createDataFrame([(path,) for path in paths], "path string").repartition(max(2, len(paths) // 8))
    events = files.mapInArrow(read(lake), FIELDS).cache()

    # Who turned out to be somebody else: chains are followed to their end.
    links = events.where("merged_from is not null and merged_from <> subject").select(
        F.col("merged_from").alias("was"), F.col("subject").alias("is")
    ).distinct()
    for _ in range(LONGEST_CHAIN):
        further = links.alias("a").join(links.alias("b"), F.col("a.is") == F.col("b.was"), "left")
        links = further.select("a.was", F.coalesce("b.is", "a.is").alias("is")).localCheckpoint()
        if links.alias("a").join(links.alias("b"), F.col("a.is") == F.col("b.was")).isEmpty():
            break
    people = events.join(links, events.subject == links.was, "left").withColumn("person", F.coalesce("is", "subject"))

    # A refusal takes along what came before it.
    refused = people.where(F.col("denied").bitwiseAND(PERSONALISATION) != 0)
    last_refusal = refused.groupBy("person").agg(F.max("received_ms").alias("refused_ms"))
    teaching = (
        people.where(F.col("kind").isin(list(TEACHES)) & (F.size("products") > 0))
        .where(F.col("denied").bitwiseAND(PERSONALISATION) == 0)
        .join(last_refusal, "person", "left")
    )
    newest_s = teaching.agg(F.max("at_s")).first()[0] or 0
    meaning = F.create_map([F.lit(text) for pair in TEACHES.items() for text in pair])
    kept = teaching.where("refused_ms is null or received_ms > refused_ms")
    rows = kept.where(F.col("at_s") >= newest_s - window_days * 86_400).select(
        "person", F.explode("products").alias("product"), meaning[F.col("kind")].alias("meaning"), "at_s"
    )
    newest_first = Window.partitionBy("person").orderBy(F.desc("at_s"))
    rows = rows.withColumn("place", F.row_number().over(newest_first)).where(F.col("place") <= NEWEST_OF_A_SHOPPER).drop("place")
    return teaching.count(), rows.withColumnRenamed("person", "subject").cache()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("lake")
    arguments.add_argument("--window-days", type=int, default=365)
    arguments.add_argument("--master", default="local-cluster[2,1,1024]")
    arguments.add_argument("--out")
    arguments = arguments.parse_args()
    # Executors are to find pyarrow where this program does.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    begun = time.monotonic()
    spark = (
        SparkSession.builder.master(arguments.master)
        .appName("merx training set")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    started = time.monotonic()
    events, rows = training_set(spark, arguments.lake, arguments.window_days)
    executors = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
    counted = rows.agg(F.count("*"), F.countDistinct("subject"), F.countDistinct("product")).first()
    figures = dict(zip(("interactions", "shoppers", "products"), counted))
    if arguments.out:
        rows.write.mode("overwrite").parquet(arguments.out)
    elapsed = {"start_s": round(started - begun, 1), "compute_s": round(time.monotonic() - started, 1)}
    print(json.dumps({"events": events, **figures, "executors": executors, **elapsed}))
    spark.stop()


if __name__ == "__main__":
    main()
