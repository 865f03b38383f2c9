"""Who sent this? Constant-time checks of an alert against every configured secret.

Each comparison is between SHA-256 sized digests as bytes, so that neither length nor content of a
guess shows in the time, and a non-ASCII header cannot raise.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from fks.domain.errors import FksError, Refusal
from fks.domain.secret import Secret
from fks.domain.settings import WebhookSecret

STANDARD_TOLERANCE_S = 300.0  # standardwebhooks.com, "Verifying signatures"


class Denied(FksError):
    """No valid authentication; deliberately without a reason. `expired` names the secret that would have
    been valid, for the log alone.
    """

    def __init__(self, expired: str | None = None) -> None:
        super().__init__("authentication failed")
        self.expired = expired


class OutOfScope(Refusal):
    """Authentic, but its secret may not trade that."""


class Sender(Struct, frozen=True):
    """An authenticated sender. Standard Webhooks also sign a message id and a time.

    `accounts` and `strategies` are what its secret may trade; empty: all.
    """

    name: str
    message_id: str | None = None
    timestamp: float | None = None
    accounts: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()


def authenticate(
    headers: Mapping[str, str],
    body: bytes,
    body_secret: str | None,
    secrets: Sequence[WebhookSecret],
    now: float,
) -> Sender:
    """The sender, if the HMAC header, the Standard Webhooks headers or the body's secret match.

    `headers` have lower-case names. An expired secret is as if it were not there. Raises Denied.
    """
    matched: list[tuple[WebhookSecret, str | None, float | None]] = []
    if (given := headers.get("x-signature")) is not None:
        hits = _all(secrets, lambda secret: _hex_matches(secret, given, body))
        matched += [(one, None, None) for one in hits]
    if message_id := headers.get("webhook-id"):
        stamp, hits = _standard(headers, message_id, body, secrets, now)
        matched += [(one, message_id, stamp) for one in hits]
    if body_secret is not None:
        digest = hashlib.sha256(body_secret.encode("utf-8", "surrogatepass")).digest()
        hits = _all(secrets, lambda secret: hmac.compare_digest(_sha256(secret), digest))
        matched += [(one, None, None) for one in hits]
    valid = [hit for hit in matched if hit[0].expires is None or now < hit[0].expires]
    if not valid:
        raise Denied(matched[0][0].name if matched else None)
    one, _, _ = valid[0]
    # Whatever else proves the sender: only Standard Webhooks sign an id and a time.
    _, identity, signed_at = next((hit for hit in valid if hit[1] is not None), valid[0])
    return Sender(one.name, identity, signed_at, one.accounts, one.strategies)


def check_scope(sender: Sender, accounts: Iterable[str], strategy: str | None) -> None:
    """Raises OutOfScope, which names what this sender's secret may not trade."""
    if sender.strategies and strategy not in sender.strategies:
        what = f"the strategy {strategy!r}" if strategy else "without naming its strategy"
        allowed = ", ".join(sender.strategies)
        detail = f"the secret {sender.name!r} may not trade {what}; it may trade {allowed}"
        raise OutOfScope("auth.scope", detail, "strategy")
    for account in accounts:
        if sender.accounts and account not in sender.accounts:
            allowed = ", ".join(sender.accounts)
            detail = f"the secret {sender.name!r} may not trade on {account!r}; it may on {allowed}"
            raise OutOfScope("auth.scope", detail, "exchange")


def sign(secret: Secret, body: bytes) -> str:
    """The value of `X-Signature`: hexadecimal HMAC-SHA256 of the raw body."""
    return hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def _all(secrets: Sequence[WebhookSecret], matches: Callable[[Secret], bool]) -> list[WebhookSecret]:
    # Every secret is tried, also after a match and when expired: the time does not tell which one it was.
    return [one for one in secrets if matches(one.secret) and one.secret]


def _sha256(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()


def _hex_matches(secret: Secret, given: str, body: bytes) -> bool:
    expected = sign(secret, body)
    claimed = given.strip().lower().removeprefix("sha256=")
    return hmac.compare_digest(expected.encode(), claimed.encode("utf-8", "surrogatepass"))


def _standard(
    headers: Mapping[str, str], message_id: str, body: bytes, secrets: Sequence[WebhookSecret], now: float
) -> tuple[float, list[WebhookSecret]]:
    """The signed time, and the secrets that signed."""
    stamp = headers.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return 0.0, []
    if abs(now - int(stamp)) > STANDARD_TOLERANCE_S:
        return 0.0, []
    claimed = [
        _decode(part[3:]) for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")
    ]
    signed = b"%s.%s.%s" % (message_id.encode("utf-8", "surrogatepass"), stamp.encode(), body)

    def matches(secret: Secret) -> bool:
        expected = [hmac.new(key, signed, hashlib.sha256).digest() for key in _standard_keys(secret)]
        hits = [hmac.compare_digest(one, other) for one in expected for other in claimed]
        return any(hits)

    return float(stamp), _all(secrets, matches)


def _standard_keys(secret: Secret) -> Iterable[bytes]:
    """The libraries of Standard Webhooks take a secret as base64, with or without `whsec_`; other
    senders sign with the secret's own bytes. Both are the same secret, so both are tried.
    """
    text = secret.reveal()
    yield text.encode()
    decoded = _decode(text.removeprefix("whsec_"))
    if decoded:
        yield decoded


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return b""
