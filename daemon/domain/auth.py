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

from fks.domain.secret import Secret

STANDARD_TOLERANCE_S = 300.0  # standardwebhooks.com, "Verifying signatures"


class Sender(Struct, frozen=True):
    """An authenticated sender. Standard Webhooks also sign a message id and a time."""

    name: str
    message_id: str | None = None
    timestamp: float | None = None


def authenticate(
    headers: Mapping[str, str], body: bytes, body_secret: str | None, secrets: Sequence[Secret], now: float
) -> Sender | None:
    """The sender, if the HMAC header, the Standard Webhooks headers or the body's secret match.

    `headers` have lower-case names. None tells nothing of why: one reply for every reason.
    """
    if (given := headers.get("x-signature")) is not None:
        name = _first(secrets, lambda secret: _hex_matches(secret, given, body))
        if name:
            return Sender(name)
    if message_id := headers.get("webhook-id"):
        sender = _standard(headers, message_id, body, secrets, now)
        if sender:
            return sender
    if body_secret is not None:
        digest = hashlib.sha256(body_secret.encode("utf-8", "surrogatepass")).digest()
        name = _first(secrets, lambda secret: hmac.compare_digest(_sha256(secret), digest))
        if name:
            return Sender(name)
    return None


def sign(secret: Secret, body: bytes) -> str:
    """The value of `X-Signature`: hexadecimal HMAC-SHA256 of the raw body."""
    return hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def _first(secrets: Sequence[Secret], matches: Callable[[Secret], bool]) -> str | None:
    # Every secret is tried, also after a match: the time does not tell which one it was.
    names = [f"secret-{number}" for number, secret in enumerate(secrets, 1) if matches(secret) and secret]
    return names[0] if names else None


def _sha256(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest()


def _hex_matches(secret: Secret, given: str, body: bytes) -> bool:
    expected = sign(secret, body)
    claimed = given.strip().lower().removeprefix("sha256=")
    return hmac.compare_digest(expected.encode(), claimed.encode("utf-8", "surrogatepass"))


def _standard(
    headers: Mapping[str, str], message_id: str, body: bytes, secrets: Sequence[Secret], now: float
) -> Sender | None:
    stamp = headers.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return None
    if abs(now - int(stamp)) > STANDARD_TOLERANCE_S:
        return None
    claimed = [
        _decode(part[3:]) for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")
    ]
    signed = b"%s.%s.%s" % (message_id.encode("utf-8", "surrogatepass"), stamp.encode(), body)

    def matches(secret: Secret) -> bool:
        expected = [hmac.new(key, signed, hashlib.sha256).digest() for key in _standard_keys(secret)]
        hits = [hmac.compare_digest(one, other) for one in expected for other in claimed]
        return any(hits)

    name = _first(secrets, matches)
    return Sender(name, message_id, float(stamp)) if name else None


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
