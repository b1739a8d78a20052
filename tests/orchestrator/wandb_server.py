"""A W&B server of a few lines: it takes one run at a time as the real one does, and can fall silent."""

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """Keeps what it was sent; with `resumable` it says that a run exists already, up to that step."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.resumable: int | None = None
        self.silent = threading.Event()
        self.over = threading.Event()
        self.runs: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that gave up waiting."""

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        match operation:
            case "RunResumeStatus":
                return {"model": self._known(variables["name"])}
            case "UpsertBucket":
                known = self.runs.setdefault(variables["name"], {})
                known.update({name: value for name, value in variables.items() if value is not None})
                return {"upsertBucket": {"bucket": self._bucket(variables["name"]), "inserted": True}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in variables["files"]]
                return {"createRunFiles": {"runID": "id", "uploadHeaders": [], "files": files}}
        return {}

    def _bucket(self, run: str) -> dict[str, Any]:
        project = {"id": "project", "name": "adaptune-tests", "entity": {"id": "entity", "name": "someone"}}
        return {"id": "id", "name": run, "displayName": run, "config": "{}", "project": project}

    def _known(self, run: str) -> dict[str, Any] | None:
        if self.resumable is None:
            return None
        tail = json.dumps([json.dumps({"_step": self.resumable, "_runtime": 1})])
        lines = {"historyLineCount": self.resumable, "eventsLineCount": 0, "logLineCount": 0}
        rest = {"summaryMetrics": "{}", "historyTail": tail, "eventsTail": "[]", "wandbConfig": '{"t": 1}'}
        bucket = self._bucket(run) | lines | rest
        return {
            "id": "project",
            "name": "adaptune-tests",
            "entity": bucket["project"]["entity"],
            "bucket": bucket,
        }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.server.silent.is_set():
            self.server.over.wait(60)
            return
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            query = json.loads(body)
            answer = {"data": self.server.answer(query["operationName"], query.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            run = self.path.split("/")[-2]
            chunk = json.loads(body).get("files", {}).get("wandb-history.jsonl", {})
            self.server.history.setdefault(run, []).extend(
                json.loads(line) for line in chunk.get("content", [])
            )
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_PUT = do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
