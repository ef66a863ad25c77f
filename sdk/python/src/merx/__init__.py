"""The Merx API from Python.

    merx = Merx("http://localhost:8080", os.environ["MERX_SECRET_KEY"])
    answer = merx.recommend([{"scenario": "for_you", "count": 4}], user_id="c-17")
"""

from .client import Merx, MerxError

__all__ = ["Merx", "MerxError"]
