"""Who can reach the configured addresses, and whom the door takes the sender to be. Nothing is asked."""

from ipaddress import ip_address

from fks.domain.addresses import networks
from fks.domain.diagnosis import Judgement, Verdict
from fks.domain.settings import ServerSettings, WebhookSettings

_PROXY = "let a reverse proxy with a certificate (Caddy, nginx) listen there, and the door on 127.0.0.1"


def is_local(address: str) -> bool:
    """Whether only this machine can reach it: a unix socket, or a loopback address."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def judge_door(address: str) -> Judgement:
    """Who can reach one of `server.listen`."""
    if is_local(address):
        return Judgement(Verdict.OK, "this machine only")
    detail = "can be reached from elsewhere without a proxy: a secret in an alert's body travels in the clear"
    return Judgement(Verdict.WARN, detail, _PROXY)


def judge_desk(address: str) -> Judgement:
    """Who can reach one of `server.admin`."""
    if is_local(address):
        return Judgement(Verdict.OK, "this machine only")
    detail = "the desk can be reached from elsewhere: its token travels in the clear"
    return Judgement(
        Verdict.WARN, detail, "set server.admin to 127.0.0.1:PORT; use SSH or a VPN to get there"
    )


def judge_proxies(server: ServerSettings, webhook: WebhookSettings) -> Judgement:
    """Whether the door knows the senders of what a reverse proxy brings."""
    trusted = networks(server.trusted_proxies)
    if any(one.prefixlen == 0 for one in trusted):
        detail = "server.trusted_proxies holds every address: anybody can claim to be any sender"
        return Judgement(Verdict.FAIL, detail, "list the addresses of your own proxies only")
    if trusted:
        return Judgement(Verdict.OK, f"X-Forwarded-For is believed of {', '.join(server.trusted_proxies)}")
    if not all(map(is_local, server.listen)):
        return Judgement(Verdict.OK, "none is trusted: the connection's own address is the sender's")
    if all(one.is_loopback for one in networks(webhook.allow)):
        return Judgement(Verdict.OK, "none, and only this machine may send alerts")
    if all(one.startswith("unix:") for one in server.listen):
        detail = "a unix socket has no addresses: webhook.allow is not applied"
        return Judgement(Verdict.WARN, detail, "let the proxy filter the senders' addresses")
    detail = "alerts from elsewhere come through a proxy, and none is trusted: all have the proxy's address"
    remedy = 'behind a proxy on this machine: server.trusted_proxies = ["127.0.0.1/32"]'
    return Judgement(Verdict.WARN, detail, remedy)
