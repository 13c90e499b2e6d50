"""A model hub on loopback: the few addresses that huggingface_hub asks, over files in memory."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class FakeHub:
    """One repository with its commits, and what was asked for.

    Attributes:
        repository: `owner/name`.
        commits: Commit to its files.
        main: The commit the branch main stands at.
        lies: File names that are sent with other bytes than the hub promises.
        withheld: File names that the hub refuses to send.
        sent: Every file that was sent, in order.
    """

    repository: str
    commits: dict[str, dict[str, bytes]]
    main: str
    lies: set[str] = field(default_factory=set)
    withheld: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    endpoint: str = ""

    def commit_of(self, revision: str) -> str | None:
        revision = self.main if revision == "main" else revision
        return revision if revision in self.commits else None


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """The hub, answering on a free port of loopback."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        repository = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if repository != self.hub.repository:
            return self.refuse("RepoNotFound")
        place = 5 if parts[0] == "api" else 3
        commit = self.hub.commit_of(parts[place] if len(parts) > place else "main")
        if commit is None:
            return self.refuse("RevisionNotFound")
        if parts[0] == "api":
            listing = "tree" in parts[4:5]
            return self.say_json(self.tree(commit) if listing else self.info(commit))
        return self.send_file(commit, "/".join(parts[4:]), with_body=with_body)

    def refuse(self, code: str, status: int = 404) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def info(self, commit: str) -> dict[str, Any]:
        files = self.hub.commits[commit]
        siblings = [{"rfilename": n, "size": len(b), **_lfs(n, b)} for n, b in files.items()]
        return {"id": self.hub.repository, "sha": commit, "siblings": siblings}

    def tree(self, commit: str) -> list[dict[str, Any]]:
        files = self.hub.commits[commit]
        return [
            {"type": "file", "path": n, "size": len(b), "oid": _sha1(b), **_lfs(n, b)}
            for n, b in files.items()
        ]

    def say_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, commit: str, name: str, *, with_body: bool) -> None:
        body = self.hub.commits[commit].get(name)
        if body is None:
            return self.refuse("EntryNotFound")
        if name in self.hub.withheld:
            return self.refuse("", status=403)
        etag = hashlib.sha256(body).hexdigest() if _lfs(name, body) else _sha1(body)
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.hub.sent.append(name)
            if name in self.hub.lies:
                body = bytes(len(body))
            self.wfile.write(body)
        return None


def _sha1(body: bytes) -> str:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()


def _lfs(name: str, body: bytes) -> dict[str, Any]:
    """As on the hub: only large kinds of files have a checksum there."""
    if not name.endswith(".safetensors"):
        return {}
    return {
        "lfs": {
            "sha256": hashlib.sha256(body).hexdigest(),
            "oid": hashlib.sha256(body).hexdigest(),
            "size": len(body),
            "pointerSize": 130,
        }
    }
