"""Our own Python client, as a wheel installs it, against a server: python merx-python.py URL SECRET_KEY"""

import sys
import time

from merx import Merx, MerxError

merx = Merx(sys.argv[1], sys.argv[2])
run = str(time.time_ns())
id = f"python-{run}"
merx.put_products([{"id": id, "name": "Python Bag", "variants": [{"id": f"{id}-1", "prices": [{"amount": {"minor": 1899, "currency": "EUR"}}]}]}])
assert merx.product(id)["name"] == "Python Bag"
print("ok   a product is put and read")

visitor = f"python-visitor-{run}"
assert merx.track([{"anonymousId": visitor, "event": "Product Viewed", "properties": {"product_id": id}}]) == []
for _ in range(50):
    answer = merx.recommend([{"scenario": "recently_viewed", "count": 3}], anonymous_id=visitor)
    if id in [item["product_id"] for item in answer["slots"][0]["items"]]:
        break
    time.sleep(0.1)
else:
    sys.exit("FAIL the answers don't know what was viewed")
print("ok   the next answer knows what was viewed")

assert merx.why(answer["decision_id"])
assert merx.search("bag", count=2)["hits"] and merx.suggest("ba")
assert sum(1 for _ in merx.products(page_size=100)) > 100
print("ok   search, suggestions, reasons, all products page after page")
try:
    merx.recommend([{"scenario": "guess"}])
    sys.exit("FAIL a scenario that isn't one")
except MerxError as error:
    assert (error.status, error.errors[0]["at"]) == (422, "slots[0].scenario"), error
    print("ok   refusals are errors with a place")
