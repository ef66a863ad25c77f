"""Against a server that answers what a test tells it to."""

import json
import subprocess
import sys
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from merx import Merx, MerxError

ROOT = Path(__file__).resolve().parents[1]


class Handler(BaseHTTPRequestHandler):
    answers: list[tuple[int, object, dict[str, str]]] = []
    calls: list[tuple[str, str, object]] = []

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.calls.append((self.command, self.path, body))
        status, document, headers = self.answers.pop(0) if self.answers else (200, {}, {})
        if status == 0:
            self.connection.close()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.merx = Merx(f"http://127.0.0.1:{cls.server.server_port}/", "mx_sec_1")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.shutdown()
        cls.server.server_close()

    def given(self, *answers: tuple) -> list:
        Handler.answers = [(*answer, *({},) * (3 - len(answer))) for answer in answers]
        Handler.calls = []
        return Handler.calls

    def test_what_twice_is_once_is_tried_again(self) -> None:
        calls = self.given((0, {}), (503, {}), (200, {"decision_id": "d", "slots": []}))
        self.assertEqual(self.merx.recommend([{"scenario": "for_you"}], user_id="c")["decision_id"], "d")
        self.assertEqual(len(Handler.calls), 3)

    def test_what_makes_a_new_thing_is_not_unless_nothing_was_taken(self) -> None:
        self.given((503, {"code": "not_ready"}), (200, {}))
        with self.assertRaises(MerxError) as caught:
            self.merx.call("POST", "/v1/jobs", body={"kind": "train"})
        self.assertEqual((caught.exception.code, len(Handler.calls)), ("not_ready", 1))
        self.given((429, {}, {"Retry-After": "0.01"}), (200, {"id": "j"}))
        self.assertEqual(self.merx.call("POST", "/v1/jobs", body={"kind": "train"}), {"id": "j"})

    def test_of_posts_only_what_asks_puts_in_place_or_has_an_id_of_its_own_is_tried_again(self) -> None:
        event, named = {"anonymousId": "a", "event": "X"}, {"anonymousId": "a", "event": "X", "messageId": "m1"}

        def attempts(path: str, body: object) -> int:
            self.given((503, {"code": "not_ready"}), (200, {}))
            try:
                self.merx.call("POST", path, body=body)
            except MerxError as error:
                self.assertEqual(error.code, "not_ready")
            return len(Handler.calls)

        once = ["/v1/models/blend/promote", "/v1/models/blend/rollback", "/v1/privacy/requests", "/v1/approvals/1/approve"]
        once += ["/1/indexes/i", "/1/indexes/i/batch", "/1/indexes/i/query/partial"]
        for path in once:
            self.assertEqual(attempts(path, {}), 1, path)
        again = ["/v1/recommend", "/v1/search", "/v1/suggest", "/v1/facets", "/v1/products/batch", "/v1/stock/batch"]
        for path in [*again, "/v1/decisions/d/replay", "/1/indexes/i/query"]:
            self.assertEqual(attempts(path, {}), 2, path)
        for path, body, count in [("/v1/track", event, 1), ("/v1/track", named, 2), ("/v1/identify", named, 2)]:
            self.assertEqual(attempts(path, body), count, path)
        self.assertEqual(attempts("/v1/batch", {"batch": [named, event]}), 1)
        self.assertEqual(attempts("/v1/batch", {"batch": [named]}), 2)

    def test_a_refusal_says_what_and_where(self) -> None:
        self.given((422, {"code": "invalid_request", "hint": "look", "errors": [{"at": "slots[0]", "code": "x", "detail": "wrong"}]}))
        with self.assertRaises(MerxError) as caught:
            self.merx.recommend([])
        error = caught.exception
        self.assertEqual((error.status, error.code, error.hint, str(error)), (422, "invalid_request", "look", "slots[0]: wrong"))

    def test_lists_come_page_after_page(self) -> None:
        self.given((200, {"items": [{"id": 1}, {"id": 2}], "next_cursor": "c 1"}), (200, {"items": [{"id": 3}], "next_cursor": None}))
        self.assertEqual([product["id"] for product in self.merx.products(2)], [1, 2, 3])
        self.assertEqual(Handler.calls[1][1], "/v1/products?limit=2&cursor=c+1")

    def test_events_keep_their_id_and_come_in_batches(self) -> None:
        self.given((503, {}), (200, {"success": True, "rejected": [{"at": "batch[0]", "code": "x", "detail": "y"}]}))
        self.assertEqual(len(self.merx.track([{"anonymousId": "a", "event": "X"}])), 1)
        ids = [body["batch"][0]["messageId"] for _, _, body in Handler.calls]
        self.assertEqual(ids[0], ids[1])
        self.given()
        self.merx.track({"anonymousId": "a", "event": "X"} for _ in range(1_100))
        self.assertEqual([len(body["batch"]) for _, _, body in Handler.calls], [500, 500, 100])
        self.given(*((200, {"rejected": [{"at": f"batch[{place}]", "code": "x", "detail": "y"}]}) for place in (3, 4)))
        refused = self.merx.track({"anonymousId": "a", "event": "X"} for _ in range(1_000))
        self.assertEqual([one["at"] for one in refused], ["batch[3]", "batch[504]"])

    def test_the_shapes_are_those_of_the_api(self) -> None:
        subprocess.run([sys.executable, ROOT / "tools" / "generate.py", "--check"], check=True)


if __name__ == "__main__":
    unittest.main()
