"""Whether TradingView would reach the door: what the way there means."""

import pytest

from fks.domain.diagnosis import Verdict
from fks.domain.diagnosis_url import (
    Answer,
    judge_answer,
    judge_certificate,
    judge_proxy,
    judge_resolution,
    judge_sender,
    judge_spoof,
    judge_url,
)
from fks.domain.settings import ServerSettings, WebhookSettings

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


def answer(status: int, *, by_fks: bool = True, seconds: float = 0.1, **fields: str) -> Answer:
    return Answer(status=status, seconds=seconds, by_fks=by_fks, **fields)


@pytest.mark.parametrize(
    ("url", "verdict", "told"),
    [
        ("https://a.example/webhook/tradingview", OK, ""),
        ("https://a.example:443/webhook", OK, ""),
        ("http://a.example/webhook", WARN, "in the clear"),
        ("https://a.example/", WARN, "/webhook/tradingview"),
        ("https://a.example:8080/webhook", FAIL, "80 and 443"),
        ("https://[2001:db8::1]/webhook", FAIL, "IPv6"),
        ("ftp://a.example/webhook", FAIL, "not an address"),
        ("a.example/webhook", FAIL, "not an address"),
        ("https://a.example:99999/webhook", FAIL, "not an address"),
        ("https://[::1", FAIL, "not an address"),
        ("", FAIL, "not an address"),
    ],
)
def test_url(url: str, verdict: Verdict, told: str) -> None:
    judged = judge_url(url)
    assert judged.verdict is verdict
    assert told in judged.detail


@pytest.mark.parametrize(
    ("addresses", "verdict"),
    [
        (["8.8.8.8"], OK),
        (["8.8.8.8", "2001:4860:4860::8888"], OK),
        (["2001:4860:4860::8888"], FAIL),
        ([], FAIL),
        (["127.0.1.1"], FAIL),
        (["8.8.8.8", "10.0.0.1"], FAIL),
    ],
)
def test_resolution(addresses: list[str], verdict: Verdict) -> None:
    assert judge_resolution(addresses).verdict is verdict


@pytest.mark.parametrize(("days", "verdict"), [(60.0, OK), (13.0, WARN)])
def test_certificate(days: float, verdict: Verdict) -> None:
    assert judge_certificate(days).verdict is verdict


@pytest.mark.parametrize(
    ("given", "verdict", "told"),
    [
        (answer(401), OK, "fks refuses what is not signed"),
        (answer(403), OK, "fks refuses what is not signed"),
        (answer(401, seconds=1.5), WARN, "near TradingView's 3 s"),
        (answer(401, seconds=3.1), FAIL, "gives up"),
        (answer(429), WARN, "too many"),
        (answer(503), WARN, "takes no alerts now"),
        (answer(404), FAIL, "fks answers 404"),
        (answer(401, by_fks=False, server="nginx"), FAIL, "nginx answered 401, not fks"),
        (answer(200, by_fks=False), FAIL, "something answered 200, not fks"),
        (answer(301, by_fks=False, location="https://b.example/"), FAIL, "redirects to https://b.example/"),
        (answer(502, by_fks=False), FAIL, "does not reach the daemon"),
        (answer(504, by_fks=False, server="nginx/1.22"), FAIL, "never sends a 504 again"),
    ],
)
def test_answer(given: Answer, verdict: Verdict, told: str) -> None:
    judged = judge_answer(given)
    assert judged.verdict is verdict
    assert told in judged.detail
    assert bool(judged.remedy) == (verdict is not OK)


PLAIN, BEHIND = ServerSettings(), ServerSettings(trusted_proxies=("127.0.0.1/32",))
PUBLIC, HOME = "8.8.8.8", "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "target", "server", "allow", "verdict"),
    [
        # through a proxy that nobody trusts, whose address is allowed: so is everybody
        (answer(401), PUBLIC, PLAIN, ("tradingview", "127.0.0.1/32"), FAIL),
        (answer(401), PUBLIC, BEHIND, ("tradingview", "127.0.0.1/32"), OK),
        (answer(401), HOME, PLAIN, ("tradingview", "127.0.0.1/32"), OK),  # not by way of the proxy
        (answer(401), PUBLIC, PLAIN, ("0.0.0.0/0",), OK),
        (answer(403, seen="9.9.9.9"), PUBLIC, BEHIND, ("tradingview",), OK),
        (answer(403, seen="9.9.9.9"), PUBLIC, BEHIND, ("127.0.0.1/32",), WARN),
        (answer(403, seen="172.17.0.1"), PUBLIC, PLAIN, ("tradingview",), WARN),
        (answer(503), PUBLIC, PLAIN, ("tradingview",), None),
        (answer(401, by_fks=False), PUBLIC, PLAIN, ("tradingview",), None),
    ],
)
def test_whom_the_door_takes_the_sender_to_be(
    given: Answer, target: str, server: ServerSettings, allow: tuple[str, ...], verdict: Verdict | None
) -> None:
    judged = judge_sender(given, target, server, WebhookSettings(allow=allow))
    assert (judged and judged.verdict) is verdict
    assert judged is None or bool(judged.remedy) == (judged.verdict is not OK)


def test_a_header_that_a_stranger_sends_is_believed_by_nobody() -> None:
    judged = judge_spoof(answer(403), answer(401))
    assert judged is not None
    assert judged.verdict is FAIL
    refused = judge_spoof(answer(403), answer(403))
    assert refused is not None
    assert refused.verdict is OK
    assert judge_spoof(answer(401), answer(401)) is None
    assert judge_spoof(answer(403), answer(502, by_fks=False)) is None


def test_nginx_is_told_of_504() -> None:
    judged = judge_proxy("nginx/1.22.1")
    assert judged is not None
    assert "504" in judged.detail
    assert judge_proxy("Caddy") is None
