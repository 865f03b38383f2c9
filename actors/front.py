"""The door: bytes in, reply out. Thin; what it checks is decided in `domain.gate`.

A bare ASGI callable, because a framework would cancel the handler when the client hangs up, and a
webhook must not die between its commit and its dispatch. No reply before the alert is on disk.
"""

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
import trio

from fks.domain import replies
from fks.domain.addresses import Network, contains, rate_key, sender_address
from fks.domain.auth import Denied, OutOfScope, Sender
from fks.domain.errors import Fatal, Overloaded, Refusal
from fks.domain.events import MISDIRECTED, Kind
from fks.domain.gate import Body, GateRules, Indexes, identify, validate
from fks.domain.limits import BucketPerKey
from fks.domain.messages import Event, Intent, NewAlert, Order, Verdict
from fks.domain.outcome import AlertState
from fks.domain.sampling import Sampler
from fks.infra.health import healthz, readyz
from fks.infra.metrics import Metrics
from fks.infra.problem import problem
from fks.ledger import Journal, losing

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Response = tuple[int, bytes, dict[str, str]]

MAX_BODY = 16_384
DAY_S = 86_400.0  # how often an expired secret that is still used is told of
# TradingView gives up after 3 s and does not send again: whatever the disk does, it has its answer before.
STORE_S = 2.0  # for the journal to take an alert
ANSWER_S = 2.8  # for all of it; a longer webhook.wait_s is its sender's own business
READ_S = 0.3  # of that, kept for reading the outcome
NOTE_S = 1.0  # for each of the two records that a refusal may come to
LAST_S = 0.5  # longest wait for an order's outcome while the daemon stops
RETRY = {"retry-after": "5"}  # TradingView comes again 5 s after a 5xx
WEBHOOKS = ("/webhook", "/webhook/tradingview")
_SETTLED = {f"alert_{state}" for state in replies.SETTLED}

log = structlog.get_logger(actor="front")


class Waiters:
    """Requests that wait for the outcome of their alert; the journal's fan-out wakes them."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[trio.Event]] = {}
        self._waits: set[trio.CancelScope] = set()
        self._most = math.inf

    @contextmanager
    def expect(self, alert_id: str) -> Iterator[trio.Event]:
        settled = trio.Event()
        waiting = self._waiting.setdefault(alert_id, [])
        waiting.append(settled)
        try:
            yield settled
        finally:
            waiting.remove(settled)
            if not waiting:
                self._waiting.pop(alert_id, None)

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Go on after so long, or a moment after `close`."""
        with trio.move_on_after(min(seconds, self._most)) as scope:
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)

    def close(self) -> None:
        """The daemon stops: what is accepted is on disk, and its sender need not wait for the next start."""
        self._most = LAST_S
        for scope in self._waits:
            scope.deadline = min(scope.deadline, trio.current_time() + LAST_S)

    def observe(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in _SETTLED and event.alert_id is not None:
                for settled in self._waiting.get(event.alert_id, ()):
                    settled.set()


@dataclass(slots=True)
class Front:
    """One per process. `unready` gives the reasons against taking alerts now; none means ready."""

    journal: Journal
    rules: GateRules
    allow: Sequence[Network]
    trusted_proxies: Sequence[Network]
    indexes: Indexes
    waiters: Waiters
    metrics: Metrics
    unready: Callable[[], Sequence[str]]
    wall: Callable[[], float]
    rate: BucketPerKey = field(init=False)  # of authentic requests
    guesses: BucketPerKey = field(init=False)  # of the others: they never use up the owner's rate
    expiries: BucketPerKey = field(init=False, default_factory=lambda: BucketPerKey(1 / DAY_S, 1))
    denials: Sampler = field(init=False, default_factory=Sampler)

    def __post_init__(self) -> None:
        self._set_rate()

    def _set_rate(self) -> None:
        rate = self.rules.webhook.rate
        self.rate = BucketPerKey(rate.per_minute / 60, rate.burst)
        self.guesses = BucketPerKey(rate.per_minute / 60, rate.burst)

    def use(self, rules: GateRules, allow: Sequence[Network], trusted_proxies: Sequence[Network]) -> None:
        """Let alerts in by these from now on. What addresses have used of their rate is forgotten only where
        the rate is another one.
        """
        other_rate = rules.webhook.rate != self.rules.webhook.rate
        self.rules, self.allow, self.trusted_proxies = rules, allow, trusted_proxies
        if other_rate:
            self._set_rate()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, body, headers = await self._route(scope, receive)
        headers.setdefault("content-type", "application/json")
        headers["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _route(self, scope: Any, receive: Receive) -> Response:
        path, method = scope["path"], scope["method"]
        if path in WEBHOOKS:
            if method != "POST":
                return _problem(405, f"{path} takes POST, not {method}", headers={"allow": "POST"})
            return await self._webhook(scope, receive)
        if path not in ("/healthz", "/readyz"):
            told = self.rules.known.text(path)[:100]
            return _problem(404, f"there is no {told} here; alerts go to POST /webhook/tradingview")
        if method not in ("GET", "HEAD"):
            return _problem(405, f"{path} takes GET, not {method}", headers={"allow": "GET, HEAD"})
        return await healthz(self.journal) if path == "/healthz" else readyz(self.unready())

    async def _webhook(self, scope: Any, receive: Receive) -> Response:
        began = trio.current_time()
        response = await self._judge(scope, receive, began)
        self.metrics.webhook(response[0], trio.current_time() - began)
        return response

    async def _judge(self, scope: Any, receive: Receive, began: float) -> Response:
        """Address, size, who, rate, then the gate: the cheap refusals first. The rate comes after the
        authentication, because a stranger may share the owner's address (a proxy, TradingView's own).
        """
        headers = _headers(scope)
        peer = scope["client"][0] if scope.get("client") else None
        address = sender_address(peer, headers.get("x-forwarded-for"), self.trusted_proxies)
        if address is not None and not contains(self.allow, address):
            self._log_denial(address, "address")
            detail = "this address may not send alerts; see webhook.allow"
            return _problem(403, detail, address=address[:45])  # behind a proxy the sender sees which
        body = await _read(receive, headers)
        if body is None:
            return _problem(413, f"an alert has at most {MAX_BODY} bytes", headers={"connection": "close"})
        try:
            sender, raw = identify(headers, body, self.rules.secrets, self.wall())
        except Denied as denied:
            return await self._denied(address, denied)
        if not self.rate.allow(rate_key(address), trio.current_time()):
            return self._too_fast(authentic=True)
        by = trio.current_time() + max(ANSWER_S, self.rules.webhook.wait_s)
        return await self._take(raw, sender, address, began, by)

    async def _take(
        self, raw: Body, sender: Sender, address: str | None, began: float, by: float
    ) -> Response:
        """What an authentic sender is told, by then."""
        try:
            new = validate(raw, sender, self.rules, self.indexes, self.wall())
        except Refusal as refusal:
            return await self._refused(refusal, sender, address)
        if reasons := self.unready():
            return _problem(503, "not taking alerts now: " + "; ".join(reasons), headers=dict(RETRY))
        return await self._accept(new, began, by)

    async def _accept(self, new: NewAlert, began: float, by: float) -> Response:
        """Write it down, then wait a moment for what becomes of it."""
        with self.waiters.expect(new.id) as settled:
            try:
                acceptance = await self.journal.offer(lambda ledger: ledger.accept(new), within=STORE_S)
            except (Overloaded, Fatal, trio.TooSlowError) as error:
                # After a timeout it may have been stored; then the re-send is a duplicate.
                log.warning("alert_not_stored", alert_id=new.id, reason=str(error) or "the journal is slow")
                return _problem(503, "the alert could not be stored; send it again", headers=dict(RETRY))
            self.metrics.acknowledged(trio.current_time() - began)
            age = None if new.alert.timestamp is None else new.received_at - new.alert.timestamp
            self.metrics.received(acceptance.verdict, new.source, new.received_at, age)
            if acceptance.verdict is Verdict.CONFLICT:
                return self._conflict(acceptance.alert_id)
            if acceptance.verdict is Verdict.DUPLICATE:
                return await self._duplicate(acceptance.alert_id, new, by)
            alert = new.alert
            told = {"symbol": alert.symbol, "action": alert.action.value, "strategy": alert.strategy}
            log.info("alert_accepted", alert_id=new.id, sender=new.source, **told)
            left = max(0.0, by - READ_S - trio.current_time())
            with self.waiters.patience(min(self.rules.webhook.wait_s, left)):
                await settled.wait()
        return await self._outcome(new, by) if settled.is_set() else _accepted(new.id)

    def _conflict(self, alert_id: str) -> Response:
        self.metrics.validation_failure("gate.conflict")
        log.error("alert_conflict", alert_id=alert_id)
        detail = "an alert with this key and another body was accepted before: each event needs its own id"
        return _problem(409, detail, alert_id=alert_id)

    async def _known(
        self, alert_id: str, by: float
    ) -> tuple[AlertState | None, Sequence[Intent], Sequence[Order]] | None:
        """What has become of an alert; None when the journal does not tell by then."""
        try:
            return await self.journal.read(
                lambda ledger: (
                    ledger.alert_state(alert_id),
                    ledger.intents_of(alert_id),
                    ledger.orders_of(alert_id),
                ),
                within=max(0.0, by - trio.current_time()),
            )
        except (Overloaded, trio.TooSlowError):
            return None

    async def _outcome(self, new: NewAlert, by: float) -> Response:
        known = await self._known(new.id, by)
        if known is None:
            return _accepted(new.id)
        state, intents, orders = known
        if state is AlertState.REFUSED:
            code, reason = replies.refusal(intents, orders)
            return _problem(422, reason, alert_id=new.id, reason=code)
        return 200, msgspec.json.encode(replies.success(new.id, new.alert, orders)), {}

    async def _duplicate(self, alert_id: str, new: NewAlert, by: float) -> Response:
        """The reply to a re-send carries the first one's outcome, whatever that is."""
        known = await self._known(alert_id, by)
        if known is None:
            return _accepted(alert_id)
        state, intents, orders = known
        log.info("alert_duplicate", alert_id=alert_id, state=state)
        reply = replies.success(alert_id, new.alert, orders) | {"status": "duplicate", "state": state}
        if state is AlertState.REFUSED:
            reply["reason"], reply["detail"] = replies.refusal(intents, orders)
        return 200, msgspec.json.encode(reply), {}

    async def _denied(self, address: str | None, denied: Denied) -> Response:
        self.metrics.signature_failure()
        if not self.guesses.allow(rate_key(address), trio.current_time()):
            return self._too_fast(authentic=False)
        if denied.expired is not None and self.expiries.allow(denied.expired, trio.current_time()):
            advice = "an alert came with it and was refused: give its sender a new one"
            log.error("webhook_secret_expired", sender=denied.expired, address=address, advice=advice)
        unrecorded = self._log_denial(address, "authentication")
        if unrecorded is not None:
            await self._note(Kind.WEBHOOK_DENIED, address=address, unrecorded=unrecorded)
        return _problem(401, "no valid signature or secret", headers={"www-authenticate": "Signature"})

    def _log_denial(self, address: str | None, reason: str) -> int | None:
        """Log it, unless strangers have been logged enough: see Sampler."""
        unrecorded = self.denials.sample(f"{reason} {address}", trio.current_time())
        if unrecorded is not None:
            log.warning("webhook_denied", address=address, reason=reason, unrecorded=unrecorded)
        return unrecorded

    async def _refused(self, refusal: Refusal, sender: Sender, address: str | None) -> Response:
        self.metrics.validation_failure(refusal.code)
        told = {"code": refusal.code, "detail": refusal.detail, "sender": sender.name}
        log.warning("alert_rejected", field=refusal.field, **told)
        await self._note(Kind.ALERT_REJECTED, address=address, **told)
        if refusal.code in MISDIRECTED:
            log.error("alarm", code=refusal.code, detail=refusal.detail)
            await self._note(Kind.ALARM, code=refusal.code, detail=refusal.detail)
        status = 403 if isinstance(refusal, OutOfScope) else 400
        return _problem(status, refusal.detail, code=refusal.code, field=refusal.field)

    def _too_fast(self, *, authentic: bool) -> Response:
        """429 means a lost alert to TradingView: what is authentic gets the 503 that it re-sends on."""
        self.metrics.rate_limited("webhook")
        status = 503 if authentic else 429
        return _problem(status, "too many requests from this address", headers=dict(RETRY))

    async def _note(self, kind: Kind, **data: Any) -> None:
        """The audit record of a refusal."""
        with losing(log, kind):
            await self.journal.offer(lambda ledger: ledger.note(kind, **data), within=NOTE_S)


def _headers(scope: Any) -> Mapping[str, str]:
    """Lower-case names; of a repeated one the last counts, but addresses that were passed on add up."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key == "x-forwarded-for" and key in headers else text
    return headers


async def _read(receive: Receive, headers: Mapping[str, str]) -> bytes | None:
    """The request's body; None as soon as it is known to be too large."""
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > MAX_BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _accepted(alert_id: str) -> Response:
    """It is on disk, and its outcome is not known yet."""
    return 202, msgspec.json.encode({"status": "accepted", "alert_id": alert_id}), {}


def _problem(status: int, detail: str, *, headers: dict[str, str] | None = None, **extra: Any) -> Response:
    body, own = problem(status, "", detail, **extra)
    return status, body, own | (headers or {})
