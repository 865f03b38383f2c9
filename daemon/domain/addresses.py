"""Where a request came from, and whether that place may send alerts."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

# https://www.tradingview.com/support/solutions/43000529348 "About webhooks"
TRADINGVIEW = ("52.89.214.238/32", "34.212.75.30/32", "54.218.53.128/32", "52.32.178.7/32")


def networks(names: Sequence[str]) -> tuple[Network, ...]:
    """CIDRs, single addresses and the preset `tradingview`. Raises ValueError naming the bad one."""
    texts = [text for name in names for text in (TRADINGVIEW if name == "tradingview" else (name,))]
    return tuple(ip_network(text, strict=False) for text in texts)


def contains(where: Sequence[Network], address: str) -> bool:
    """Whether one of the networks holds the address; an IPv4-mapped IPv6 address counts as IPv4."""
    try:
        parsed = _plain(ip_address(address))
    except ValueError:
        return False
    return any(parsed in network for network in where)


def sender_address(peer: str | None, forwarded: str | None, trusted: Sequence[Network]) -> str | None:
    """The address to judge: the peer's, or, when the peer is a trusted proxy, the last address in
    `X-Forwarded-For` that is not a trusted proxy itself. Entries further left are the sender's own
    words. None is a unix socket, whose other end is trusted by its file permissions.
    """
    if peer is None or not contains(trusted, peer) or not forwarded:
        return peer
    for hop in reversed(forwarded.split(",")):
        address = hop.strip()
        if not contains(trusted, address):
            return address
    return peer


def rate_key(address: str | None) -> str:
    """Whose rate a request uses up. Behind IPv6 everybody has a /64 to choose addresses from (RFC 6177)."""
    if address is None:
        return "unix"
    try:
        parsed = _plain(ip_address(address))
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(IPv6Network((parsed, 64), strict=False))


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address
