"""Calls, their retries, and the problems that a server answers with."""

import json
import random
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from . import models

FIRST_WAIT_S = 0.2
EVENTS_A_CALL = 500
# POSTs that only ask, or put things in place under their own ids. Every other one may do its work a second time (promote,
# roll back, approve, make a key).
REPEATABLE = re.compile(
    r"/v1/(recommend|search|search/preview|suggest|facets|consent|off-policy|experiment-plan|policy/dry-run)"
    r"|/v1/(products|orders|stock)/batch"
    r"|/v1/(decisions/[^/]+/replay|experiments/[^/]+/check)"
    r"|/ofrep/v1/evaluate/flags(/[^/]+)?"
    r"|/1/indexes/[^/]+/(query|queries|browse|objects|recommendations|facets/[^/]+/query)"
)
# Events are stored once by their `messageId`; without one, twice is twice.
EVENTS = re.compile(r"/v1/(track|page|identify|screen|group|alias|batch|import|[tpisgab])")


class MerxError(Exception):
    """A refusal. `code` is stable, `hint` says what to do, `errors` where the mistakes are."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        errors = problem.get("errors") or []
        words = problem.get("detail") or "; ".join(f"{error['at']}: {error['detail']}" for error in errors)
        super().__init__(words or problem.get("title") or f"status {status}")
        self.status = status
        self.code: str = problem.get("code", "unknown")
        self.hint: str | None = problem.get("hint")
        self.errors: list[dict[str, str]] = errors
        self.request_id: str | None = problem.get("request_id")


class Merx:
    """One server, one key. Keeps nothing between calls, so that threads may share it."""

    def __init__(self, url: str, key: str, *, retries: int = 4, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._retries = retries
        self._timeout_s = timeout_s

    # ---- What to show ----

    def recommend(self, slots: list[models.SlotRequest], **who: Any) -> models.RecommendAnswer:
        """Fills slots for somebody: `user_id`, `anonymous_id` or `subject_id`; `market`, `device`, `consent`, `deadline_ms`."""
        return cast(models.RecommendAnswer, self.call("POST", "/v1/recommend", body={"slots": slots, **who}))

    def search(self, query: str = "", **asked: Any) -> models.SearchAnswer:
        """Searches; the other members of the request by name: `filter`, `facets`, `count`, `user_id` .."""
        return cast(models.SearchAnswer, self.call("POST", "/v1/search", body={"query": query, **asked}))

    def suggest(self, text: str, **counts: Any) -> list[models.Suggestion]:
        answer = cast(models.SuggestAnswer, self.call("POST", "/v1/suggest", body={"text": text, **counts}))
        return answer["suggestions"]

    def why(self, decision_id: str) -> models.Explanation:
        return cast(models.Explanation, self.call("GET", f"/v1/decisions/{quote(decision_id, safe='')}/why"))

    # ---- What happened ----

    def track(self, events: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
        """Tells of events; returns those that were refused, `at` their places in `events`, after the others are on disk.

        An event without a `messageId` gets one, so that it is stored once however often it is sent.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        named = [{"type": "track", "timestamp": now, "messageId": str(uuid.uuid4()), **event} for event in events]
        refused: list[dict[str, str]] = []
        for start in range(0, len(named), EVENTS_A_CALL):
            answer = self.call("POST", "/v1/batch", body={"batch": named[start : start + EVENTS_A_CALL], "sentAt": now})
            refused += [{**one, "at": _moved(one["at"], start)} for one in answer.get("rejected", [])]
        return refused

    # ---- The shop's records ----

    def product(self, id: str) -> models.Product:
        return cast(models.Product, self.call("GET", f"/v1/products/{quote(id, safe='')}"))

    def put_products(self, products: list[models.Product]) -> models.BatchAnswer:
        return cast(models.BatchAnswer, self.call("POST", "/v1/products/batch", body={"upsert": products}))

    def products(self, page_size: int = 200) -> Iterator[models.Product]:
        """All of them, page after page."""
        return cast(Iterator[models.Product], self._all("/v1/products", page_size))

    def orders(self, page_size: int = 200) -> Iterator[models.Order]:
        return cast(Iterator[models.Order], self._all("/v1/orders", page_size))

    def put_orders(self, orders: list[models.Order]) -> models.BatchAnswer:
        return cast(models.BatchAnswer, self.call("POST", "/v1/orders/batch", body={"upsert": orders}))

    def put_stock(self, levels: list[models.StockLevel]) -> models.BatchAnswer:
        return cast(models.BatchAnswer, self.call("POST", "/v1/stock/batch", body={"upsert": levels}))

    # ---- Everything else ----

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Any operation of the API. What fails on the way is tried again where twice is once; 429 always, it took nothing."""
        text = urlencode({name: value for name, value in (query or {}).items() if value is not None})
        address = f"{self._url}{path}{'?' + text if text else ''}"
        again = _repeatable(method, path, body)
        attempt = 0
        while True:
            last = attempt >= self._retries
            retry_after = None
            try:
                return self._send(method, address, body)
            except HTTPError as error:
                if last or not (error.code == 429 or (again and error.code >= 500)):
                    raise MerxError(error.code, _problem(error)) from None
                retry_after = error.headers.get("Retry-After")
            except (URLError, HTTPException, OSError):
                if last or not again:
                    raise
            _wait(attempt, retry_after)
            attempt += 1

    def _send(self, method: str, address: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._key}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        with urlopen(Request(address, data, headers, method=method), timeout=self._timeout_s) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def _all(self, path: str, page_size: int) -> Iterator[Any]:
        cursor = None
        while True:
            page = self.call("GET", path, query={"limit": page_size, "cursor": cursor})
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return


def _repeatable(method: str, path: str, body: Any) -> bool:
    """Whether twice is once: reading, putting in place, merge patches and removing always; of POSTs those of the lists."""
    if method != "POST" or REPEATABLE.fullmatch(path):
        return True
    if not EVENTS.fullmatch(path) or not isinstance(body, dict):
        return False
    batch = body.get("batch")
    return all(isinstance(event, dict) and event.get("messageId") for event in (batch if isinstance(batch, list) else [body]))


def _moved(at: str, start: int) -> str:
    """A place in one call as the place in all events."""
    return re.sub(r"^batch\[(\d+)\]", lambda found: f"batch[{start + int(found[1])}]", at)


def _problem(error: HTTPError) -> dict[str, Any]:
    try:
        problem = json.loads(error.read())
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _wait(attempt: int, retry_after: str | None) -> None:
    try:
        seconds = float(retry_after or 0)
    except ValueError:
        seconds = 0.0
    time.sleep(seconds if seconds > 0 else FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.5))
