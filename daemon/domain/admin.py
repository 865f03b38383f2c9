"""Who may use the desk: the bearer of the token, from a page of its own or from no page at all."""

import hashlib
import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from fks.domain.secret import Secret


def bearer_matches(authorization: str, token: Secret) -> bool:
    """Whether the `Authorization` header (as latin-1 text, ASGI's bytes one to one) bears the token.

    SHA-256 digests are compared in constant time: neither length nor content of a guess shows in the
    time, and other characters than ASCII cannot raise. An empty token matches nothing.
    """
    scheme, _, credentials = authorization.partition(" ")
    given = hashlib.sha256(credentials.strip(" ").encode("latin-1", "replace")).digest()
    expected = hashlib.sha256(token.reveal().encode()).digest()
    return hmac.compare_digest(given, expected) and scheme.lower() == "bearer" and bool(token)


def host_allowed(host: str) -> bool:
    """Whether a `Host` header names an IP address or localhost, with or without a port.

    A page on `evil.example` whose name is re-bound to 127.0.0.1 still sends its own name (DNS
    rebinding); an address or `localhost` cannot be re-bound.
    """
    try:
        parts = urlsplit(f"//{host}")
        name, _port = parts.hostname, parts.port
    except ValueError:  # brackets that hold no address, a port that is no number
        return False
    if not name or parts.netloc != host or "@" in host:
        return False
    return name == "localhost" or _is_address(name)


def same_origin(origin: str, host: str) -> bool:
    """Whether an `Origin` header (of a browser's request) is the page of this very `Host`."""
    scheme, found, authority = origin.partition("://")
    return bool(found) and scheme in ("http", "https") and authority.lower() == host.lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def session(token: Secret, until: int) -> str:
    """A console session's cookie: when it ends (UTC epoch seconds), and proof that this token's bearer asked.

    Nothing has to be kept for it, so it outlives a restart, and a changed token ends it.
    """
    return f"{until}.{_proof(token, until)}"


def session_holds(cookie: str, token: Secret, now: float) -> bool:
    """Whether `cookie` is a session of this token's that has not ended."""
    end, _, proof = cookie.partition(".")
    if not (end.isascii() and end.isdigit() and len(end) <= 12 and proof.isascii()):
        return False
    return hmac.compare_digest(proof, _proof(token, int(end))) and now < int(end)


def _proof(token: Secret, until: int) -> str:
    return hmac.new(token.reveal().encode(), f"console session {until}".encode(), hashlib.sha256).hexdigest()
