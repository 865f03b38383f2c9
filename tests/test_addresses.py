"""Where a request came from: the peer's word, or a trusted proxy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.addresses import contains, networks, rate_key, sender_address

TRADINGVIEW = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
PROXIES = networks(["10.0.0.0/8", "::1"])


def test_the_preset_is_tradingviews_four_addresses() -> None:
    allowed = networks(["tradingview", "127.0.0.1/32"])
    assert len(allowed) == 5
    assert all(contains(allowed, address) for address in (*TRADINGVIEW, "127.0.0.1"))
    assert not any(contains(allowed, address) for address in ("52.89.214.239", "127.0.0.2", "::1"))


def test_an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() -> None:
    allowed = networks(["192.0.2.7", "2001:db8::/32"])
    assert contains(allowed, "::ffff:192.0.2.7")
    assert not contains(allowed, "::ffff:192.0.2.8")
    assert contains(allowed, "2001:db8::1")


def test_a_network_may_be_written_with_host_bits() -> None:
    assert contains(networks(["192.0.2.77/24"]), "192.0.2.1")


@pytest.mark.parametrize("name", ["TradingView.com", "", "300.1.1.1", "10.0.0.0/33", "1.2.3.4:80"])
def test_a_bad_network_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name or "''"):
        networks(["127.0.0.1", name])


@given(st.text(max_size=40))
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert contains(networks(["0.0.0.0/32"]), text) == (text == "0.0.0.0")


@pytest.mark.fault(19)
def test_a_strangers_forwarded_header_counts_for_nothing() -> None:
    assert sender_address("203.0.113.9", "52.89.214.238", PROXIES) == "203.0.113.9"
    assert sender_address("203.0.113.9", "52.89.214.238", ()) == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (None, "10.0.0.1"),
        ("", "10.0.0.1"),
        ("198.51.100.1", "198.51.100.1"),
        ("52.89.214.238, 198.51.100.1", "198.51.100.1"),  # the left one is the sender's own claim
        ("198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("198.51.100.1,10.0.0.2 , ::1", "198.51.100.1"),
        ("10.0.0.3", "10.0.0.1"),
        ("52.89.214.238, nonsense", "nonsense"),
        ("52.89.214.238,", ""),
    ],
)
def test_behind_a_trusted_proxy_the_last_stranger_counts(forwarded: str | None, expected: str) -> None:
    assert sender_address("10.0.0.1", forwarded, PROXIES) == expected


def test_a_unix_socket_has_no_address() -> None:
    assert sender_address(None, "198.51.100.1", PROXIES) is None


@given(st.text(max_size=60))
def test_no_header_makes_a_stranger_an_allowed_sender(forwarded: str) -> None:
    address = sender_address("203.0.113.9", forwarded, PROXIES)
    assert address == "203.0.113.9"


def test_a_whole_ipv6_subscriber_has_one_rate() -> None:
    assert rate_key("2001:db8:1:2::1") == rate_key("2001:db8:1:2:ffff::9") != rate_key("2001:db8:1:3::1")
    assert rate_key("203.0.113.1") == rate_key("::ffff:203.0.113.1") != rate_key("203.0.113.2")
    assert rate_key(None) == "unix"
    assert rate_key("not an address") == "not an address"
