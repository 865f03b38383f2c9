"""Where notifications go: the only importer of Apprise, and only once there is a URL.

Its import and its 190 services take 0.3 s and 36 MB. An Apprise URL holds its secrets anywhere, be it as the
host; what it logs holds the URL. So a target is named by what its service calls a host, and of a reason every
part of the URL is masked.
"""

import logging
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

import trio

from fks.domain.outbox import Message
from fks.domain.secret import Secret
from fks.infra.redact import MASK, mask_text
from fks.kernel import in_thread

if TYPE_CHECKING:
    import apprise

DEADLINE_S = 30.0  # of one message to one target; Apprise's own limits are for each read from a socket
_LONGEST = 200  # characters of a reason
_SHORTEST = 3  # of a part of a URL that could tell anything


_NOWHERE = logging.NullHandler()


class Unusable(Exception):
    """Apprise can make nothing of a URL."""


class NotDelivered(Exception):
    """Why, without a secret."""


class Target:
    """One URL. `name` is its scheme and host, or `***` where that is a secret."""

    def __init__(self, name: str, send: Callable[[Message], None]) -> None:
        self.name = name
        self._send = send
        self._thread = trio.CapacityLimiter(1)  # one that hangs has no second one beside it

    async def deliver(self, message: Message) -> None:
        """Raises NotDelivered, after `DEADLINE_S` at the latest: the thread is then left to itself."""
        with trio.move_on_after(DEADLINE_S) as scope:
            await in_thread(self._send, message, limiter=self._thread, abandon_on_cancel=True)
        if scope.cancelled_caught:
            raise NotDelivered(f"no answer within {DEADLINE_S:.0f} s")


def open_target(url: Secret) -> Target:
    """Blocks, for the import. Raises Unusable."""
    import apprise

    _silence()
    asset = apprise.AppriseAsset(
        app_id="fks",
        async_mode=False,
        service_timeout=0,  # its own deadline takes a thread that the interpreter waits for at its end
        allow_templates=False,  # a reason may hold braces
    )
    text = url.reveal()
    try:
        service = apprise.Apprise.instantiate(text, asset=asset)
    except Exception as error:  # noqa: BLE001 - a foreign parser, and its error may quote the URL
        raise Unusable(f"Apprise cannot read it ({type(error).__name__})") from None
    if service is None:
        raise Unusable("not a URL that Apprise can read")
    one = apprise.Apprise(asset=asset)
    one.add(service)

    def send(message: Message) -> None:
        try:
            result = one.notify(
                body=mask_text(message.body),
                title=mask_text(message.title),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 - a foreign service, and its error may quote the URL
            raise NotDelivered(f"Apprise failed ({type(error).__name__})") from None
        if not result:
            raise NotDelivered(scrub(_reason(result), text))

    return Target(_name(service), send)


def _silence() -> None:
    """They log addresses, and would do so on stderr where nobody configured a log."""
    for name in ("apprise", "requests", "urllib3"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(_NOWHERE)
        logger.setLevel(logging.WARNING)  # of which a NotDelivered tells


def open_targets(urls: Sequence[Secret]) -> tuple[dict[Secret, Target], list[str]]:
    """Those that can be used, and what is wrong with each of the others. Blocks."""
    targets: dict[Secret, Target] = {}
    problems = []
    for at, url in enumerate(urls):
        try:
            targets[url] = open_target(url)
        except Unusable as error:
            problems.append(f"notify.urls[{at}]: {error}")
    return targets, problems


def _name(service: "apprise.NotifyBase") -> str:
    whole = str(service.url(privacy=True))  # type: ignore[no-untyped-call]  # the library has no types here
    scheme = whole.partition("://")[0]
    host = service.host if "host" in service.template_tokens and isinstance(service.host, str) else ""
    if not host:
        return f"{scheme}://{MASK}"
    port = f":{service.port}" if isinstance(service.port, int) else ""
    return f"{scheme}://{host}{port}"


def _reason(result: "apprise.AppriseResult") -> str:
    """The last thing that Apprise complained of."""
    told = [line.message for one in result for attempt in one.attempts for line in attempt.logs]
    return told[-1] if told else "Apprise does not say why"


def scrub(reason: str, url: str) -> str:
    """`reason` on one line, and without any part of `url`."""
    reason, rest = mask_text(reason), url.partition("://")[2]
    parts = {part for part in re.split(r"[/:@?&=#,;+]", rest) if len(part) >= _SHORTEST}
    parts |= {unquote(part) for part in parts}
    if parts:
        longest_first = sorted(parts, key=len, reverse=True)
        reason = re.sub("|".join(map(re.escape, longest_first)), MASK, reason, flags=re.IGNORECASE)
    return " ".join(reason.split())[:_LONGEST]
