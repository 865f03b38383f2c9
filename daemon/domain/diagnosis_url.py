"""Whether TradingView would reach the door at its public address, from what was measured on the way there.

https://www.tradingview.com/support/solutions/43000529348 "About webhooks": ports 80 and 443 only, no IPv6,
three seconds for an answer; it sends again on a 5xx, but not on a 504.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from fks.domain.addresses import TRADINGVIEW, contains, networks
from fks.domain.diagnosis import Judgement, Verdict
from fks.domain.settings import ServerSettings, WebhookSettings

PATHS = ("/webhook/tradingview", "/webhook")
PATIENCE_S, SLOW_S = 3.0, 1.0
RENEW_DAYS = 14
A_TRADINGVIEW_ADDRESS = TRADINGVIEW[0].partition("/")[0]
_GATEWAY = frozenset({502, 503, 504})


class Answer(Struct, frozen=True, kw_only=True):
    """What came back for a POST without a signature. `seen`: the address that the door took us for, when it
    refused that; `location` of a redirect; `server` the header of that name.
    """

    status: int
    seconds: float
    by_fks: bool
    seen: str = ""
    location: str = ""
    server: str = ""


def judge_url(url: str) -> Judgement:
    """What the URL alone says."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        remedy = "write https://your.host/webhook/tradingview"
        return Judgement(Verdict.FAIL, "not an address that a sender can post to", remedy)
    if port not in (None, 80, 443):
        detail = f"TradingView calls ports 80 and 443 only, not {port}"
        return Judgement(Verdict.FAIL, detail, "let a reverse proxy listen on 443")
    if ":" in host:
        return Judgement(Verdict.FAIL, "TradingView has no IPv6", "give it a name with an IPv4 address")
    if parts.path not in PATHS:
        detail = f"the door takes alerts at {PATHS[0]}, not at {parts.path or '/'}"
        return Judgement(Verdict.WARN, detail, "right only if the proxy rewrites it")
    if parts.scheme == "http":
        detail = "http: the secret in the alert travels in the clear"
        return Judgement(Verdict.WARN, detail, "use https://, with etc/Caddyfile or etc/nginx.conf")
    return Judgement(Verdict.OK, "https, a port and a path that TradingView can call")


def judge_resolution(addresses: Sequence[str]) -> Judgement:
    """What the name stands for, here."""
    v4 = [one for one in addresses if ":" not in one]
    if not v4:
        known = f" (only {', '.join(addresses)})" if addresses else ""
        return Judgement(
            Verdict.FAIL, f"no IPv4 address{known}", "give the name an A record: TradingView has no IPv6"
        )
    if inside := [one for one in v4 if not ip_address(one).is_global]:
        detail = f"{', '.join(inside)} is not an address of the internet, as this machine resolves the name"
        return Judgement(Verdict.FAIL, detail, "check the name's A record from elsewhere, and /etc/hosts")
    return Judgement(Verdict.OK, ", ".join(v4))


def judge_certificate(days_left: float) -> Judgement:
    """Of a certificate that was found valid for the name."""
    detail = f"valid for the name, {days_left:.0f} days left"
    if days_left < RENEW_DAYS:
        return Judgement(
            Verdict.WARN, detail, "see why it was not renewed (Caddy does it by itself; certbot's timer)"
        )
    return Judgement(Verdict.OK, detail)


def judge_answer(answer: Answer) -> Judgement:
    """An alert without a signature must be refused, by fks, in time."""
    took = f"{answer.seconds:.2f} s"
    if answer.seconds > PATIENCE_S:
        detail = f"answered after {took}: TradingView gives up after {PATIENCE_S:g} s and does not send again"
        return Judgement(Verdict.FAIL, detail, "look at the proxy, and at fks_webhook_ack_seconds")
    if answer.by_fks:
        return _of_fks(answer, took)
    who = f"{answer.server or 'something'} answered {answer.status}, not fks"
    if answer.location:
        return Judgement(
            Verdict.FAIL, f"it redirects to {answer.location}", "give TradingView that URL instead"
        )
    if answer.status in _GATEWAY:
        again = "; it never sends a 504 again" if answer.status == 504 else ""
        detail = f"{who}: the proxy does not reach the daemon{again}"
        remedy = "start the daemon; compare the proxy's upstream with server.listen (see etc/nginx.conf)"
        return Judgement(Verdict.FAIL, detail, remedy)
    return Judgement(Verdict.FAIL, who, "let the proxy pass /webhook/tradingview to server.listen")


def _of_fks(answer: Answer, took: str) -> Judgement:
    match answer.status:
        case 401 | 403:
            told = f"fks refuses what is not signed ({answer.status}), after {took}"
            if answer.seconds > SLOW_S:
                return Judgement(
                    Verdict.WARN, f"{told}: near TradingView's {PATIENCE_S:g} s", "look at the proxy"
                )
            return Judgement(Verdict.OK, told)
        case 429:
            return Judgement(Verdict.WARN, "fks answers: too many unsigned requests", "try again in a minute")
        case 503:
            return Judgement(Verdict.WARN, "fks answers, and takes no alerts now", "`fks tail` shows why")
        case status:
            return Judgement(Verdict.FAIL, f"fks answers {status}", "check the path of the URL")


def judge_sender(
    answer: Answer, target: str, server: ServerSettings, webhook: WebhookSettings
) -> Judgement | None:
    """Whom the door took us for: through a proxy it must be us, not the proxy. `target`: the address asked.

    None: the answer says nothing about it.
    """
    if not answer.by_fks or answer.status not in (401, 403):
        return None
    allowed = networks(webhook.allow)
    if answer.status == 401 or not answer.seen:
        return _allowed(target, server, webhook)
    if _is_proxy(answer.seen):
        detail = f"the door takes us for {answer.seen}: if that is a proxy, TradingView is refused too (403)"
        return Judgement(Verdict.WARN, detail, f'then: server.trusted_proxies = ["{answer.seen}"]')
    if not contains(allowed, A_TRADINGVIEW_ADDRESS):
        detail = f"the door sees {answer.seen}, refuses it, and would refuse TradingView as well"
        return Judgement(
            Verdict.WARN, detail, 'right if TradingView is not meant; else webhook.allow = ["tradingview"]'
        )
    return Judgement(Verdict.OK, f"the door sees {answer.seen}, and lets only webhook.allow in")


def _allowed(target: str, server: ServerSettings, webhook: WebhookSettings) -> Judgement:
    """Our address was let in. Without a trusted proxy it may have been the proxy's."""
    allowed = networks(webhook.allow)
    if any(one.prefixlen == 0 for one in allowed):
        return Judgement(Verdict.OK, "webhook.allow lets every address in: the secret alone protects")
    if _is_proxy(target) or server.trusted_proxies:
        return Judgement(Verdict.OK, "the door lets this machine in")
    detail = (
        "the door lets us in, as it would anybody: it takes all for the proxy's address, which is allowed"
    )
    return Judgement(
        Verdict.FAIL, detail, 'behind a proxy on this machine: server.trusted_proxies = ["127.0.0.1/32"]'
    )


def judge_spoof(refused: Answer, spoofed: Answer) -> Judgement | None:
    """The same with an X-Forwarded-For of TradingView's, from a machine that was refused without."""
    if not (refused.by_fks and refused.status == 403 and spoofed.by_fks):
        return None
    if spoofed.status == 403:
        return Judgement(Verdict.OK, "a sender's own X-Forwarded-For is not believed")
    detail = "a sender's own X-Forwarded-For is believed: anybody can claim to be TradingView"
    remedy = "let the proxy overwrite the header (etc/nginx.conf, etc/Caddyfile), and trust that proxy only"
    return Judgement(Verdict.FAIL, detail, remedy)


def judge_proxy(server: str) -> Judgement | None:
    """What is known of the proxies by their name in the answer."""
    if not server.lower().startswith("nginx"):
        return None
    detail = f"{server}: it answers 504 for a daemon that hangs, which TradingView never sends again"
    return Judgement(Verdict.OK, detail, "right if it has `error_page 502 504 =503` (etc/nginx.conf)")


def _is_proxy(address: str) -> bool:
    try:
        return not ip_address(address).is_global
    except ValueError:
        return False
