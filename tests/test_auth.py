"""Who sent this: any configured secret by any of three ways, and nobody else; no input raises."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fks.domain import auth
from fks.domain.auth import Denied, OutOfScope, Sender, authenticate, check_scope, sign
from fks.domain.secret import Secret
from fks.domain.settings import Moment, WebhookSecret

NOW = 1_762_511_400.0
BODY = b'{"symbol": "BTC/USDT", "action": "buy", "amount": 0.01}'
OLD, NEW, OTHER = Secret("old-secret-of-long-standing"), Secret("new-secret-tökén"), Secret("a stranger's")
SECRETS = [OLD, NEW]


def who(
    headers: Mapping[str, str], body: bytes, body_secret: str | None, secrets: Sequence[Secret], now: float
) -> Sender | None:
    """None: denied."""
    known = [WebhookSecret(secret=one, name=f"secret-{number}") for number, one in enumerate(secrets, 1)]
    try:
        return authenticate(headers, body, body_secret, known, now)
    except Denied:
        return None


def hmac_of(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def signed(text: str) -> Mapping[str, str]:
    return {"x-signature": text}


def by_header(text: str, body: bytes = BODY) -> Sender | None:
    return who(signed(text), body, None, SECRETS, NOW)


def standard(
    key: bytes,
    *,
    body: bytes = BODY,
    at: float = NOW,
    message: str = "msg_1",
    before: str = "",
    after: str = "",
) -> Mapping[str, str]:
    """Headers as standardwebhooks.com describes them."""
    mac = base64.b64encode(hmac_of(key, b"%s.%d.%s" % (message.encode(), at, body))).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"{before}v1,{mac}{after}",
    }


def by_standard(headers: Mapping[str, str], body: bytes = BODY, now: float = NOW) -> Sender | None:
    return who(headers, body, None, SECRETS, now)


def hex_of(secret: Secret, body: bytes = BODY) -> str:
    return hmac_of(secret.reveal().encode(), body).hex()


def test_the_signature_is_hmac_sha256_of_the_raw_body_in_hexadecimal() -> None:
    assert sign(OLD, BODY) == hex_of(OLD)


@pytest.mark.parametrize("prefix", ["", "sha256=", "SHA256=", "Sha256="])
@pytest.mark.parametrize("upper", [False, True])
def test_the_header_is_hex_with_or_without_its_prefix_in_any_case(prefix: str, *, upper: bool) -> None:
    digits = hex_of(NEW).upper() if upper else hex_of(NEW)
    assert by_header(prefix + digits) == Sender("secret-2")
    assert by_header(f" {prefix}{digits} ") == Sender("secret-2")


@pytest.mark.fault(18)
def test_the_previous_secret_works_while_it_is_listed() -> None:
    assert by_header(hex_of(OLD)) == Sender("secret-1")
    assert who(signed(hex_of(OLD)), BODY, None, [NEW], NOW) is None


def test_without_any_proof_nobody_is_let_in() -> None:
    assert who({}, BODY, None, SECRETS, NOW) is None
    assert who(signed(hex_of(OLD)), BODY, OLD.reveal(), [], NOW) is None


@given(st.binary(max_size=60))
def test_a_signature_of_another_body_proves_nothing(body: bytes) -> None:
    assert by_header(hex_of(OLD), body) is None
    assert by_header(hex_of(OTHER, body), body) is None


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
@pytest.mark.fault(21)
def test_any_edited_byte_is_refused(place: int, flip: int) -> None:
    edited = BODY[:place] + bytes([BODY[place] ^ flip]) + BODY[place + 1 :]
    assert by_header(hex_of(OLD), edited) is None
    assert by_standard(standard(OLD.reveal().encode()), edited) is None


@given(st.integers(0, 63), st.sampled_from("0123456789abcdef"))
def test_any_edited_digit_is_refused(place: int, digit: str) -> None:
    good = hex_of(OLD)
    edited = good[:place] + digit + good[place + 1 :]
    assert (by_header(edited) is not None) == (edited == good)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256=",
        "sha512=" + "0" * 128,
        "ünïcödé",
        "\ud800",
        "0" * 64,
        "sha256=sha256=" + "0" * 64,
        "=" * 9999,
    ],
)
def test_a_wrong_signature_is_refused_whatever_it_looks_like(text: str) -> None:
    assert by_header(text) is None


headers = st.dictionaries(
    st.sampled_from(["x-signature", "webhook-id", "webhook-timestamp", "webhook-signature"]),
    st.text(max_size=30) | st.sampled_from(["v1,", "v1,===", "v1,ü", "v1a,AAAA", str(int(NOW)), "1e9", "²"]),
)


@settings(max_examples=200)
@given(headers, st.binary(max_size=20), st.none() | st.text(max_size=10))
def test_no_header_and_no_secret_raises_or_opens_the_door(
    given: dict[str, str], body: bytes, secret: str | None
) -> None:
    assert who(given, body, secret, SECRETS, NOW) is None


def test_an_empty_secret_opens_nothing() -> None:
    empty = Secret("")
    assert who(signed(hex_of(empty)), BODY, "", [empty], NOW) is None
    assert who(standard(b""), BODY, None, [empty], NOW) is None


# --- the secret in the body


def test_the_secret_in_the_body_is_compared_whole() -> None:
    assert who({}, BODY, NEW.reveal(), SECRETS, NOW) == Sender("secret-2")
    for wrong in (NEW.reveal()[:-1], NEW.reveal() + " ", NEW.reveal().upper(), "", "\ud800", "x" * 10_000):
        assert who({}, BODY, wrong, SECRETS, NOW) is None


def test_one_good_proof_is_enough() -> None:
    assert who(signed("wrong"), BODY, OLD.reveal(), SECRETS, NOW) == Sender("secret-1")
    both = {**signed("wrong"), **standard(OLD.reveal().encode())}
    assert who(both, BODY, None, SECRETS, NOW) is not None


@pytest.mark.fault(15, 16, 17)
def test_every_secret_is_tried_also_after_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Secret] = []

    def spy(secret: Secret, body: bytes) -> str:
        tried.append(secret)
        return sign(secret, body)

    monkeypatch.setattr(auth, "sign", spy)
    by_header(hex_of(OLD))
    assert tried == SECRETS


# --- Standard Webhooks


def test_standard_webhooks_sign_an_id_and_a_time() -> None:
    assert by_standard(standard(NEW.reveal().encode())) == Sender("secret-2", "msg_1", NOW)


def test_a_secret_of_the_standard_is_base64_with_or_without_its_prefix() -> None:
    key = bytes(range(24))
    for text in ("whsec_" + base64.b64encode(key).decode(), base64.b64encode(key).decode()):
        assert who(standard(key), BODY, None, [Secret(text)], NOW) is not None
    assert who(standard(key), BODY, None, [OTHER], NOW) is None


def test_the_signed_id_and_time_count_whatever_else_proves_the_sender() -> None:
    headers = standard(NEW.reveal().encode())
    for proof in (OLD, NEW):
        by_both = who({**headers, **signed(hex_of(proof))}, BODY, None, SECRETS, NOW)
        assert by_both is not None
        assert (by_both.message_id, by_both.timestamp) == ("msg_1", NOW)
        assert who(headers, BODY, proof.reveal(), SECRETS, NOW) == Sender("secret-2", "msg_1", NOW)
    forged = {**standard(OTHER.reveal().encode()), **signed(hex_of(OLD))}
    assert who(forged, BODY, None, SECRETS, NOW) == Sender("secret-1")
    known = [table(OLD, "old", NOW), table(NEW, "new")]
    expired = {**standard(OLD.reveal().encode()), **signed(hex_of(NEW))}
    assert authenticate(expired, BODY, None, known, NOW) == Sender("new")


@pytest.mark.fault(23)
def test_of_several_signatures_one_good_one_is_enough() -> None:
    key = OLD.reveal().encode()
    bad = "v1," + base64.b64encode(b"0" * 32).decode()
    assert by_standard(standard(key, before=f"{bad} "))
    assert by_standard(standard(key, after=f" {bad}"))
    assert by_standard(standard(key, before="v1,? v2,x nonsense ", after=" v1a,AAAA"))
    assert not by_standard(standard(OTHER.reveal().encode(), before=f"{bad} "))


@pytest.mark.parametrize(
    ("age", "accepted"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)]
)
@pytest.mark.fault(22)
def test_the_signed_time_is_at_most_300_seconds_away(age: int, *, accepted: bool) -> None:
    assert (by_standard(standard(OLD.reveal().encode(), at=NOW - age)) is not None) == accepted


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(int(NOW) + 1)},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": f"{int(NOW)}.0"},
        {"webhook-timestamp": "٣"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "-5"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
    ],
)
def test_nothing_of_what_is_signed_can_be_exchanged(change: dict[str, str]) -> None:
    assert by_standard({**standard(OLD.reveal().encode()), **change}) is None


def test_an_empty_message_id_would_make_all_messages_one() -> None:
    assert by_standard(standard(OLD.reveal().encode(), message="")) is None


# --- ends and scopes


def table(secret: Secret, name: str, expires: float | None = None, **scope: tuple[str, ...]) -> WebhookSecret:
    return WebhookSecret(
        secret=secret, name=name, expires=None if expires is None else Moment(expires), **scope
    )


def test_an_expired_secret_is_as_if_it_were_not_there() -> None:
    known = [table(OLD, "old", NOW), table(NEW, "new")]
    with pytest.raises(Denied) as caught:
        authenticate(signed(hex_of(OLD)), BODY, None, known, NOW)
    with pytest.raises(Denied) as stranger:
        authenticate(signed(hex_of(OTHER)), BODY, None, known, NOW)
    assert str(caught.value) == str(stranger.value)
    assert (caught.value.expired, stranger.value.expired) == ("old", None)
    assert authenticate(signed(hex_of(OLD)), BODY, None, known, NOW - 1).name == "old"
    assert authenticate(signed(hex_of(OLD)), BODY, NEW.reveal(), known, NOW).name == "new"


def test_the_sender_carries_what_its_secret_may_trade() -> None:
    known = [table(NEW, "tv", accounts=("paper",), strategies=("trend",))]
    sender = authenticate(signed(hex_of(NEW)), BODY, None, known, NOW)
    assert (sender.name, sender.accounts, sender.strategies) == ("tv", ("paper",), ("trend",))


@pytest.mark.parametrize(
    ("accounts", "strategy", "field"),
    [
        (("paper",), "trend", None),
        (("paper", "binance"), "trend", "exchange"),
        (("paper",), "other", "strategy"),
        (("paper",), None, "strategy"),
    ],
)
def test_out_of_its_scope_a_secret_is_told_what_it_may_not(
    accounts: tuple[str, ...], strategy: str | None, field: str | None
) -> None:
    sender = Sender("tv", accounts=("paper",), strategies=("trend",))
    if field is None:
        check_scope(sender, accounts, strategy)
        return
    with pytest.raises(OutOfScope) as caught:
        check_scope(sender, accounts, strategy)
    assert (caught.value.code, caught.value.field) == ("auth.scope", field)
    check_scope(Sender("all"), accounts, strategy)
