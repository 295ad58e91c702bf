"""A customer at a distance: pages with a cookie, the API with a key, live streams that go on after a cut."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Generator, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

_TIMEOUT_S = 30.0
_NOTHING_MORE = 204
_KEY = re.compile(r"tally_(?:live|test)_[0-9A-Za-z]{36}")


class Unexpected(Exception):
    """An answer that the story cannot go on with; the message says which, and what it was."""


class LiveEvent(Struct, frozen=True):
    """One event of a job's live stream."""

    name: str
    id: str | None
    data: dict[str, Any]


class Customer:
    """Speaks to one installation over HTTP. Close it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False)
        self.key = ""

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def sign_up(self, name: str) -> str:
        """Fill in the form for new customers; keeps the session and the key, and returns the key."""
        welcome = self.submit("/", "/sign-up", {"name": name})
        found = _KEY.search(welcome)
        if found is None:
            raise Unexpected("the page after the sign-up shows no key")
        self.key = found[0]
        return self.key

    def submit(self, page: str, action: str, values: Mapping[str, str]) -> str:
        """Open a page, fill in its form and send it; the page that follows, as HTML."""
        fields = _form(self._expect(self._http.get(page), 200).text, action)
        answer = self._http.post(action, data={**fields, **values}, follow_redirects=True)
        return self._expect(answer, 200).text

    def get(self, path: str) -> Any:
        """Ask the API."""
        return self._expect(self._http.get(f"/api/v1{path}", headers=self._headers()), 200).json()

    def post(self, path: str, body: Mapping[str, Any], status: int, *, key: str = "") -> Any:
        """Send to the API, with an idempotency key where one is given."""
        headers = self._headers() | ({"Idempotency-Key": key} if key else {})
        return self._expect(self._http.post(f"/api/v1{path}", json=body, headers=headers), status).json()

    def download(self, url: str) -> bytes:
        """What a signed link gives."""
        return self._expect(self._http.get(url), 200).content

    def follow(self, path: str, limit_s: float) -> Iterator[LiveEvent]:
        """Events of a live stream until ``done``; a stream that is cut is taken up where it was.

        :raises Unexpected: it is not done within the time.
        """
        last: str | None = None
        ends = time.monotonic() + limit_s
        while True:
            headers = self._headers() | ({"Last-Event-ID": last} if last else {})
            with self._http.stream("GET", path, headers=headers) as answer:
                if answer.status_code == _NOTHING_MORE:
                    return
                self._expect(answer, 200)
                for event in events(_until(answer.iter_lines(), ends, limit_s)):
                    last = event.id or last
                    yield event
                    if event.name == "done":
                        return

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def _expect(self, answer: httpx.Response, status: int) -> httpx.Response:
        if answer.status_code == status:
            return answer
        answer.read()
        where = f"{answer.request.method} {urlsplit(str(answer.request.url)).path}"
        raise Unexpected(f"{where} answered {answer.status_code} instead of {status}: {_problem(answer)}")


def _until(lines: Iterator[str], ends: float, limit_s: float) -> Iterator[str]:
    """Lines until a time; the server sends one every few seconds, if only to say that it is there."""
    for line in lines:
        if time.monotonic() > ends:
            raise Unexpected(f"not done within {limit_s:.0f} s")
        yield line


def events(lines: Iterator[str]) -> Generator[LiveEvent]:
    """Server-Sent Events out of lines; comments and ``retry`` are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line and name:
            fields[name] = value.removeprefix(" ")
        elif not line:
            if "data" in fields:
                data = json.loads(fields["data"])
                yield LiveEvent(fields.get("event", "message"), fields.get("id"), data)
            fields = {}


def _problem(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']} ({problem['code']}) {problem.get('detail', '')}"
    except (ValueError, KeyError, TypeError):
        return html.unescape(re.sub(r"<[^>]+>|\s+", " ", answer.text))[:200]


class _Forms(HTMLParser):
    """Finds the fields of the form with one action."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self._action = action
        self._inside = False
        self.fields: dict[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See ``HTMLParser``."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and found.get("action") == self._action:
            self._inside, self.fields = True, {}
        elif tag == "input" and self._inside and self.fields is not None and "name" in found:
            self.fields[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """See ``HTMLParser``."""
        self._inside = self._inside and tag != "form"


def _form(page: str, action: str) -> dict[str, str]:
    """Fields of a page's form as they stand."""
    forms = _Forms(action)
    forms.feed(page)
    if forms.fields is None:
        raise Unexpected(f"the page has no form for {action}")
    return forms.fields
