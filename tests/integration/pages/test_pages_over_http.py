"""The pages as a program meets them: who may see what, forms that count once, headers, streams that end."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Generator, Iterator
from uuid import uuid4

import httpx
import pytest
from litestar.routes import HTTPRoute

from api.pages.call import PARTS
from api.pages.limits import LINES_SHOWN
from api.pages.static_files import static_files
from api.ratelimit import LocalLimiter, Policies, Policy
from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.embedded.redis import EmbeddedRedis
from tallystick.settings import Settings
from tests.conftest import SECRET
from tests.support import servers
from tests.support.api import Customer, Site, serving
from tests.support.ledger import CREDIT, grant

FORM = {"prompt": "a lighthouse", "size": "1:1", "quality": "draft", "price": "0.55"}
DOOR = {"/", "/sign-up", "/sign-in", "/sign-out", "/signed-out", "/live", "/static/{path}", "/favicon.ico"}
"""Routes that answer strangers; ``/live`` with 204."""


@pytest.fixture(scope="module")
def site(
    postgres_server: EmbeddedPostgres, redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Site]:
    """One site for all tests of this file; each has customers of its own."""
    with servers.database_from(postgres_server, servers.MIGRATED) as database:
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("data"),
            secret=SECRET,
            database_url=database.serving_url,
            database_owner_url=database.owner_url,
            database_writer_url=database.writer_url,
            redis_url=redis_server.url,
            sandbox=True,
            port=0,
        )
        with serving(settings, background=True) as found:
            yield found


class Window:
    """A browser without scripts: keeps cookies, fills in the hidden fields of forms."""

    def __init__(self, site: Site, *, base_url: str | None = None) -> None:
        self.site = site
        self.http = httpx.Client(base_url=base_url or site.url, timeout=20.0, trust_env=False)

    def get(self, path: str = "/") -> httpx.Response:
        return self.http.get(path)

    def hidden(self, path: str = "/") -> dict[str, str]:
        """Token and number as the page has them now."""
        html = self.get(path).text
        token = re.search(r'name="token" value="([0-9a-f]+)"', html)
        number = re.search(r'name="number" value="([0-9a-f]+)"', html)
        return {"token": token[1] if token else "", "number": number[1] if number else uuid4().hex}

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.http.post(path, data=fields, headers=headers)

    def send(self, path: str, **fields: str) -> httpx.Response:
        """A form with its hidden fields."""
        return self.post(path, self.hidden() | fields)

    def signs_in(self, customer: Customer) -> Window:
        answer = self.send("/sign-in", key=customer.secret)
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
        return self


@pytest.fixture
def window(site: Site) -> Window:
    return Window(site)


def wait_for(what: Iterator[bool], limit_s: float = 60.0) -> None:
    ends = time.monotonic() + limit_s
    while not next(what):
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


def routes_of(site: Site) -> list[tuple[str, str]]:
    """Path and method of every page route."""
    found: list[tuple[str, str]] = []
    for route in site.app.routes:
        if isinstance(route, HTTPRoute):
            handlers = [handler for handler in route.route_handlers if PARTS in handler.opt]
            found += [(route.path_format, method) for handler in handlers for method in handler.http_methods]
    return [(path, method) for path, method in found if method in {"GET", "POST"}]


def real(path: str) -> str:
    """A path with ids in it that might exist."""
    kinds = {
        "{job_id}": f"job_{'0' * 32}",
        "{topup_id}": f"top_{'0' * 32}",
        "{ref}": f"sbc_{'0' * 32}",
        "{number}": "1",
    }
    return re.sub(r"\{[a-z_]+\}", lambda match: kinds.get(match[0], "app.css"), path)


def test_every_page_sends_strangers_to_the_door(site: Site, window: Window) -> None:
    routes = routes_of(site)
    assert len(routes) >= len(DOOR)
    for path, method in routes:
        if path in DOOR:
            continue
        answer = window.http.request(method, real(path))
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/"), path
        script = window.http.request(method, real(path), headers={"HX-Request": "true"})
        assert (script.status_code, script.headers["hx-redirect"]) == (401, "/"), path
    assert window.get("/live").status_code == 204


def test_after_the_door_one_comes_to_where_one_wanted(site: Site, window: Window) -> None:
    customer = site.customer()
    job_path = f"/jobs/{customer.order()}"
    asked = window.get(job_path)
    assert asked.headers["location"] == f"/?next={job_path}"
    fields = window.hidden(asked.headers["location"])
    answer = window.post("/sign-in", fields | {"next": job_path, "key": customer.secret})
    assert answer.headers["location"] == job_path
    assert "a lighthouse" in window.get(job_path).text


def test_no_form_is_taken_without_its_token_or_from_another_site(site: Site, window: Window) -> None:
    window.signs_in(site.customer())
    other = Window(site).signs_in(site.customer())
    good = window.hidden()
    for path, method in routes_of(site):
        if method != "POST":
            continue
        for fields in ({"act": "pay"}, good | {"token": ""}, good | {"token": other.hidden()["token"]}):
            assert window.post(real(path), fields).status_code == 403, path
        for site_said in ("cross-site", "same-site"):
            assert window.post(real(path), good, **{"Sec-Fetch-Site": site_said}).status_code == 403, path
    assert window.get().text.count("Make a picture") == 1, "still signed in"


def test_only_forms_are_read(site: Site, window: Window) -> None:
    window.signs_in(site.customer())
    answer = window.http.post("/generate", json=FORM | window.hidden())
    assert answer.status_code == 400
    large = window.http.post(
        "/generate", content=b"a=" + b"b" * 100_000, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert large.status_code == 400


def test_who_leaves_in_the_middle_of_a_form_is_no_fault_of_ours(
    site: Site, window: Window, caplog: pytest.LogCaptureFixture
) -> None:
    window.signs_in(site.customer())
    cookies = "; ".join(f"{name}={value}" for name, value in window.http.cookies.items())
    head = f"POST /price HTTP/1.1\r\nHost: x\r\nCookie: {cookies}\r\nContent-Length: 100\r\n"
    with socket.create_connection(site.socket.getsockname()) as connection:
        connection.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nprompt=".encode())
        time.sleep(0.2)
    time.sleep(0.3)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert window.get().status_code == 200


def test_nothing_of_another_organisation_is_seen_or_done(site: Site, window: Window) -> None:
    hers = site.customer()
    job = hers.order()
    topup = hers.post("/topups", {"rail": "sandbox", "pack": "starter"}, key=uuid4().hex).json()
    ref = topup["charge"]["ref"]
    window.signs_in(site.customer())
    fields = window.hidden()
    refused = [
        window.get(f"/jobs/{job}"),
        window.post(f"/jobs/{job}/cancel", fields),
        window.get(f"/jobs/{job}/pictures/1"),
        window.get(f"/topups/{topup['topup_id']}"),
        window.get(f"/sandbox/{ref}"),
        window.post(f"/sandbox/{ref}", fields | {"act": "pay"}),
        window.get(f"/refresh?jobs={job}"),
        window.get(f"/refresh?topups={topup['topup_id']}"),
    ]
    unknown = window.get(f"/jobs/job_{uuid4().hex}")
    assert [answer.status_code for answer in [*refused, unknown]] == [404] * 9
    named = re.compile(r"<code>[^<]*</code>|nonce=\"[^\"]*\"|value=\"[0-9a-f]*\"")
    assert named.sub("", refused[0].text) == named.sub("", unknown.text), "another's is as unknown as none"
    assert hers.get(f"/jobs/{job}").json()["state"] != "cancelled"
    assert hers.get(f"/topups/{topup['topup_id']}").json()["received_minor"] == 0
    assert Window(site).signs_in(hers).get(f"/sandbox/{ref}").status_code == 200


def test_a_long_statement_goes_on_behind_a_link(site: Site, window: Window) -> None:
    customer = site.customer(amount=0)
    for _ in range(LINES_SHOWN + 2):
        grant(site.runtime.ledger, customer.account_id, CREDIT)
    site.follow()
    front = window.signs_in(customer).get().text
    assert front.count("Credits added") == LINES_SHOWN
    older = window.get(re.findall(r'href="(/statement\?before=[0-9]+)"', front)[0]).text
    assert older.count("Credits added") == 2 and "Older lines" not in older


def test_without_a_sandbox_its_page_does_not_exist(settings: Settings) -> None:
    with serving(settings.with_values(sandbox=False)) as site:
        window = Window(site).signs_in(site.customer())
        assert window.get(f"/sandbox/sbc_{'0' * 32}").status_code == 404
        front = window.get().text
        assert "Add credits</h2>" not in front
        assert window.send("/topups", pack="starter", rail="sandbox").status_code == 404


def test_signing_up_twice_with_one_form_makes_one_organisation_with_one_good_key(site: Site, window: Window) -> None:
    fields = window.hidden() | {"name": "Ada"}
    cookies = dict(window.http.cookies)
    first = window.post("/sign-up", fields)
    window.http.cookies = httpx.Cookies(cookies)
    second = window.post("/sign-up", fields)
    secrets = [re.findall(r"tally_test_[0-9A-Za-z]{36}", answer.text)[0] for answer in (first, second)]
    assert secrets[0] != secrets[1]
    verified = site.runtime.keys.verify(secrets[1])
    standing = [key.standing(site.runtime.clock.now()) for key in site.runtime.keys.list(verified.organisation_id)]
    assert sorted(standing) == ["active", "revoked"]
    assert window.post("/sign-up", fields).status_code == 403, "a new session does not take the old form"
    assert first.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["", " ", "a" * 101, "tab\there"])
def test_a_name_out_of_bounds_is_said_beside_its_field(window: Window, name: str) -> None:
    answer = window.send("/sign-up", name=name)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text and "printable characters" in answer.text


def test_an_order_sent_twice_counts_once(site: Site, window: Window) -> None:
    customer = site.customer()
    window.signs_in(customer)
    fields = window.hidden() | FORM
    first, second = (window.post("/generate", fields) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert customer.get("/balance").json()["open_holds"] == 1
    topups = window.hidden() | {"pack": "starter", "rail": "sandbox"}
    opened = [window.post("/topups", topups).headers["location"] for _ in range(2)]
    assert opened[0] == opened[1]


def test_an_order_at_a_price_that_was_not_shown_is_not_taken(site: Site, window: Window) -> None:
    customer = site.customer()
    window.signs_in(customer)
    answer = window.send("/generate", **FORM | {"price": "0.1"})
    assert answer.status_code == 409 and "The price has changed" in answer.text
    assert customer.get("/balance").json()["held"] == "0"
    script = window.post("/generate", window.hidden() | FORM | {"price": ""}, **{"HX-Request": "true"})
    assert script.status_code == 200 and "The price has changed" in script.text


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("prompt", "  ", "Prompt: expected some text"),
        ("prompt", "a\0b", "Prompt: NUL"),
        ("prompt", "a" * 4_001, "Prompt: expected at most 4000 characters"),
        ("size", "5:7", "Size: expected one of"),
        ("seed", "x", "Seed: expected a whole number"),
        ("images", "99", "How many: expected 1 to 8"),
    ],
)
def test_a_mistake_is_said_with_the_name_of_its_field(
    site: Site, window: Window, field: str, value: str, says: str
) -> None:
    window.signs_in(site.customer())
    answer = window.send("/generate", **FORM | {field: value})
    assert answer.status_code == 422 and says in answer.text


def test_without_credits_the_page_says_how_much_is_short(site: Site, window: Window) -> None:
    window.signs_in(site.customer(amount=0))
    answer = window.send("/generate", **FORM)
    assert answer.status_code == 402 and "0.55 credits short." in answer.text
    assert re.search(r'<button id="generate" type="submit" disabled>', answer.text)


def test_a_key_that_may_little_sees_and_does_little(site: Site, window: Window) -> None:
    window.signs_in(site.customer("jobs:read"))
    front = window.get()
    assert front.status_code == 200
    assert "This key may not see the balance." in front.text and "Make a picture" not in front.text
    token = {"token": re.findall(r'name="token" value="([0-9a-f]+)"', front.text)[0], "number": uuid4().hex}
    for path in ("/generate", "/topups"):
        answer = window.post(path, token | FORM)
        assert answer.status_code == 403 and "The key that you signed in with does not allow this." in answer.text
    assert window.get("/statement").status_code == 403


def test_pages_say_what_they_may_load_and_that_nobody_keeps_them(site: Site, window: Window) -> None:
    window.signs_in(site.customer())
    for path in ("/", "/statement"):
        answer = window.get(path)
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        nonce = re.fullmatch(r"'nonce-([0-9a-f]{32})'", policy["script-src"])
        assert nonce is not None and policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
        scripts = re.findall(r"<script[^>]*>", answer.text)
        assert scripts and all(f'nonce="{nonce[1]}"' in script for script in scripts)
        assert not re.search(r"<[^>]+\s(?:on[a-z]+|style|hx-on[^=]*)=", answer.text), (
            "no inline handler, no inline style"
        )
        assert answer.headers["cache-control"] == "no-store"
        assert "//" not in re.sub(
            r"http://127\.0\.0\.1:\d+", "", " ".join(re.findall(r'(?:src|href)="([^"]*)"', answer.text))
        )
    assert window.get().headers["content-security-policy"] != window.get().headers["content-security-policy"]


def test_the_session_cookie_is_out_of_reach(site: Site, window: Window, settings: Settings) -> None:
    answer = window.send("/sign-in", key=site.customer().secret)
    parts = set(answer.headers["set-cookie"].split("; "))
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parts
    with serving(settings) as other:
        pages = next(route for route in other.app.routes if route.path == "/statement")
        assert isinstance(pages, HTTPRoute)
        object.__setattr__(pages.route_handlers[0].opt[PARTS](), "secure", True)
        header = Window(other).get().headers["set-cookie"]
        assert header.startswith("__Host-tallystick=") and "Secure" in header.split("; ")


def test_style_and_scripts_are_kept_by_browsers_under_the_name_of_their_content(window: Window) -> None:
    html = window.get().text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
    assert len(addresses) >= 4
    for address in addresses:
        answer = window.get(address)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        again = window.http.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        plain = window.http.get(address.partition("?")[0], headers={"Accept-Encoding": "identity"})
        assert plain.headers["cache-control"] == "public, no-cache" and plain.content == answer.content
    icon = window.get("/favicon.ico")
    assert icon.headers["content-type"] == "image/x-icon" and icon.content[:4] == b"\0\0\1\0"
    for path in ("/static/nothing.js", "/static/../templates/base.html", "/static/%2e%2e/call.py", "/static/"):
        assert window.get(path).status_code == 404


def test_what_is_not_ours_comes_with_its_licence() -> None:
    vendored = {name for name in static_files() if name.startswith("vendor/")}
    scripts = {name for name in vendored if name.endswith(".js")}
    assert len(scripts) == 2
    assert {name.replace(".min.js", ".LICENSE") for name in scripts} == vendored - scripts


def stream(window: Window, query: str = "") -> httpx.Response:
    request = window.http.build_request("GET", f"/live?{query}", headers={"Accept": "text/event-stream"})
    return window.http.send(request, stream=True)


def test_a_stream_tells_of_what_others_order_and_ends_with_the_key(site: Site, window: Window) -> None:
    customer = site.customer()
    window.signs_in(customer)
    version = customer.get("/balance").json()["account_version"]
    live = stream(window, f"version={version}&parts=balance,statement,jobs")
    lines = live.iter_lines()
    job = customer.order()
    seen = ""
    for line in lines:
        seen += line
        if f'id="{job}"' in seen and "Set aside for an image" in seen and "event: account" in seen:
            break
    assert 'hx-swap-oob="afterbegin:#jobs"' in seen and "set aside for 1 picture" in seen
    site.runtime.keys.revoke(customer.organisation_id, customer.key_id)
    rest = "".join(lines)
    assert "event: bye" in rest
    assert window.get("/live").status_code == 204
    assert window.get().status_code == 200 and "Come back" in window.get().text


def test_a_top_up_on_the_open_page_follows_its_payment(site: Site, window: Window) -> None:
    window.signs_in(site.customer(amount=0))
    path = window.send("/topups", pack="starter", rail="sandbox").headers["location"]
    page = window.get(path).text
    query = re.findall(r'sse-connect="/live\?([^"]+)"', page)[0].replace("&amp;", "&")
    pay = re.findall(r'href="(/sandbox/[^"]+)"', page)[0]
    lines = stream(window, query).iter_lines()
    assert window.post(pay, window.hidden(pay) | {"act": "pay"}).headers["location"] == path
    seen = ""
    for line in lines:
        seen += line
        if "1,000 credits added" in seen and "data-amount>1,000<" in seen:
            break


def test_open_streams_do_not_keep_the_server_from_stopping(settings: Settings) -> None:
    with serving(settings, background=True) as site:
        windows = [Window(site).signs_in(site.customer()) for _ in range(3)]
        streams = [stream(window) for window in windows]
        lines = [live.iter_lines() for live in streams]
        for said in lines:
            assert next(said).startswith("retry:")
        site.stop()
        for said in lines:
            assert [line for line in said if line][-1].startswith("retry:"), "it ended by itself and was not cut"


def test_strangers_at_the_door_are_counted(settings: Settings) -> None:
    with serving(settings) as site:
        few = Policies(known=Policy("burst", 10**6), unknown=Policy("public", 5))
        object.__setattr__(site.services, "limiter", LocalLimiter(site.runtime.clock, few))
        answers = [Window(site).send("/sign-up", name="Ada").status_code for _ in range(4)]
        assert 429 in answers
