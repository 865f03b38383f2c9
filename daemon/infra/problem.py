"""Errors as HTTP tells them: problem details (RFC 9457), the same from the door and from the desk."""

from http import HTTPStatus
from typing import Any

import msgspec

CONTENT_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, **extra: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an error reply.

    `title` is short and the same for every reply of its kind ("" is the status's own phrase), `detail`
    says what happened to what, and what to do next. `extra` members that are None are left out;
    `type` is `about:blank` (RFC 9457, 4.2.1) unless given.
    """
    members: dict[str, Any] = {
        "type": "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    members.update((name, value) for name, value in extra.items() if value is not None)
    return msgspec.json.encode(members), {"content-type": CONTENT_TYPE}
