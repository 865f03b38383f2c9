"""The console: a browser trades the token for a session, and the page is whole and self-contained."""

import re
from pathlib import Path

import pytest

from desk_cases import TOKEN, Desk
from fks.domain.admin import session, session_holds
from fks.domain.secret import Secret
from fks.infra import console

PAGE = Path(console.__file__).with_name("console_page")
KEY = Secret(TOKEN)


def test_a_session_holds_until_its_end_and_only_for_its_token() -> None:
    cookie = session(KEY, 1000)
    assert session_holds(cookie, KEY, 999)
    assert not session_holds(cookie, KEY, 1000)
    assert not session_holds(cookie, Secret("another"), 999)


@pytest.mark.parametrize(
    "cookie", ["", ".", "1000", "1000.", "2000." + "0" * 64, "9" * 20 + ".ab", "１０.é", "é.é"]
)
def test_what_was_not_given_out_is_no_session(cookie: str) -> None:
    assert not session_holds(cookie, KEY, 0)


def test_a_session_cannot_be_made_longer() -> None:
    assert not session_holds(session(KEY, 1000).replace("1000", "9999"), KEY, 2000)


async def test_without_a_session_the_page_asks_for_the_token() -> None:
    reply = await Desk().get("/console", token=None)
    assert reply.status_code == 401
    assert b'name="token"' in await reply.get_data()


async def test_the_token_buys_a_session_that_opens_page_and_api() -> None:
    desk = Desk()
    form = {"content_type": "application/x-www-form-urlencoded", "origin": "http://127.0.0.1:8081"}
    reply = await desk.send("POST", console.LOGIN, f"token={TOKEN}".encode(), token=None, **form)
    assert (reply.status_code, reply.headers["location"]) == (303, "/console")
    given = reply.headers["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=Strict" in given
    cookie = given.partition(";")[0]
    page = await desk.get("/console", token=None, cookie=cookie)
    assert page.status_code == 200
    assert page.content_type.startswith("text/html")
    assert (await desk.get("/v1/orders", token=None, cookie=cookie)).status_code == 200
    assert (await desk.get("/v1/orders", token=None, cookie=cookie + "0")).status_code == 401


@pytest.mark.parametrize(
    "body", [b"token=wrong", b"token=", b"", b"token=%FF%C3%28", b"tok\x00en", b"\xff" * 100]
)
async def test_anything_else_buys_nothing(body: bytes) -> None:
    form = {"content_type": "application/x-www-form-urlencoded"}
    reply = await Desk().send("POST", console.LOGIN, body, token=None, **form)
    assert reply.status_code == 401
    assert "set-cookie" not in reply.headers


async def test_another_page_cannot_use_the_session() -> None:
    cookie = f"{console.COOKIE}={session(KEY, 10_000)}"
    reply = await Desk().send(
        "POST", "/v1/trading", {"state": "halted"}, token=None, cookie=cookie, origin="http://evil.example"
    )
    assert reply.status_code == 403


async def test_the_bearer_opens_the_page_too_and_its_parts_are_served() -> None:
    desk = Desk()
    page = await (await desk.get("/console")).get_data()
    wanted = re.findall(rb'(?:src|href)="([^"]+)"', page)
    assert wanted
    for path in wanted:
        reply = await desk.get(path.decode(), token=None)
        assert reply.status_code == 200
        assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_the_page_asks_nobody_else_and_builds_no_markup_from_text() -> None:
    told = "".join(one.read_text() for one in PAGE.iterdir())
    assert "://" not in told
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\son\w+=|style=", told)


def test_every_element_that_the_script_names_is_on_the_page() -> None:
    script, page = (PAGE / "console.js").read_text(), (PAGE / "console.html").read_text()
    named = set(re.findall(r'(?:byId|fill)\("([a-z-]+)"', script))
    assert named <= set(re.findall(r'id="([a-z-]+)"', page))
