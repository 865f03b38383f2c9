"""The whole daemon in simulated time: the past happens to it, from one event to the next.

The real graph (`actors.supervisor`) on a journal that is thrown away and on paper accounts. Its clock stands
still until the next event: then what was due meanwhile fires once, not a pulse a second, and the next event
comes when everybody waits again. Nothing is left to chance, so the same files give the same result.
"""

import base64
import gc
import hashlib
import hmac
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import trio
import trio._core._run as scheduler
from msgspec import Struct
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from fks.actors.journal import JournalActor
from fks.actors.supervisor import Daemon
from fks.domain import replies
from fks.domain.attribution import Attribution
from fks.domain.auth import sign
from fks.domain.errors import Misconfigured
from fks.domain.events import Kind, order_event
from fks.domain.gate import gate_rules
from fks.domain.history import Sent, Tick, Turn, tick_size
from fks.domain.money import ZERO
from fks.domain.orders import State
from fks.domain.outcome import AlertState
from fks.domain.performance import Curve, Performance, performance
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings, NotifySettings, Settings, Steps, WebhookRate, WebhookSecret
from fks.domain.trades import Execution, RoundTrip, round_trips
from fks.infra.config import Loaded
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.listeners import Listeners
from fks.infra.metrics import Metrics
from fks.infra.notify_socket import NotifySocket
from fks.kernel import INLINE, mailbox
from fks.ledger import Journal, Reader, Write
from fks.venues.paper import PaperVenue

LOOK_S = 86_400.0  # between two events the daemon looks around (watchdogs, reconciler) that often ...
LOOK_SHARE = Decimal("0.005")  # ... and whenever equity has changed by so much
EVERY = 500  # events between two reports of progress
GARBAGE = 50_000  # objects between two searches for cycles: at Python's 700 they take 6 % of a run
REST_S = 10.0  # so long after an event what is still owed is waited for, where the next event is no sooner
MONEY = Decimal(100_000)  # of an account that is not on paper otherwise
_OWN = Secret("the replay's own, for one run")  # signs what the file holds

Happening = Turn | Tick | Sent


class Refused(Struct, frozen=True):
    """An alert that came to nothing: `line` of the file (0: unknown), and why."""

    time: float
    line: int
    code: str
    reason: str


class Replayed(Struct, frozen=True):
    """The result. `quote` is the currency of all its money; `alarms` are (UTC seconds, code, detail)."""

    quote: str
    began: float
    ended: float
    alerts: int
    duplicates: int
    orders: int
    performance: Performance
    closed: tuple[RoundTrip, ...]
    still_open: tuple[RoundTrip, ...]
    refused: tuple[Refused, ...]
    alarms: tuple[tuple[float, str, str], ...]
    chain: str  # hash of the journal's last record: equal runs have equal ones


def on_paper(settings: Settings, timeline: Sequence[Happening], quote: str) -> Settings:
    """`settings` with every account on paper, trading what the data has prices of, in the steps in which it
    is written where those are finer (whole numbers do not make a market of whole numbers); and a door that
    knows this process alone. What decides about an alert stays as it is.
    """
    prices: dict[str, list[Decimal]] = {}
    for one in timeline:
        if isinstance(one, Tick):
            prices.setdefault(one.symbol, []).append(one.price)
        elif isinstance(one, Turn):
            prices.setdefault(one.candle.symbol, []).append(one.price(low_first=True))
    accounts = {
        name: replace(
            one if one.type == "paper" else _as_paper(one, quote),
            type="paper", symbols=tuple(prices), prices={}, steps=_steps(one, prices), ticks="",
            marks_from="",
        )
        for name, one in settings.exchanges.items()
    }  # fmt: skip
    door = replace(
        settings.webhook,
        secrets=(WebhookSecret(name="replay", secret=_OWN),),
        allow=("127.0.0.1/32",),
        rate=WebhookRate(burst=1e12, per_minute=1e12),
        wait_s=0.0,
    )
    return replace(settings, exchanges=accounts, webhook=door, notify=NotifySettings())


def _steps(one: AccountSettings, prices: Mapping[str, Sequence[Decimal]]) -> dict[str, Steps]:
    written = {
        symbol: Steps(price_tick=min(tick_size(own), one.price_tick)) for symbol, own in prices.items()
    }
    return written | one.steps


def _as_paper(one: AccountSettings, quote: str) -> AccountSettings:
    """What an account on a real exchange decides by stays its own."""
    return AccountSettings(
        market=one.market, balance={quote: MONEY}, sizing=one.sizing, risk=one.risk, leverage=one.leverage
    )


class StandingClock(trio.abc.Clock):
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def start_clock(self) -> None: ...

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0 if deadline <= self.now else 1e9  # whoever moves the clock wakes the loop himself


@dataclass(slots=True)
class _Unattended(Daemon):
    """Without sockets and signals, and without those who only look on."""

    async def _open_addresses(self, _actors: trio.Nursery) -> None:
        self.front = self._front(gate_rules(self.loaded.settings, lambda: _OWN))

    async def _observe(self, *_actor: Any) -> None: ...

    async def _obey_signals(self, *_of: Any) -> None: ...

    async def _tell_systemd(self) -> None: ...


@dataclass(slots=True)
class Replay:
    """One run over `timeline`, on paper whatever the configuration says of its accounts."""

    loaded: Loaded
    timeline: Sequence[Happening]
    quote: str
    progress: Callable[[int], None] = lambda _events: None
    _clock: StandingClock = field(init=False, default_factory=StandingClock)
    _daemon: _Unattended = field(init=False)
    _curve: Curve = field(init=False)
    _began: float = field(init=False)
    _lines: dict[str, tuple[float, int]] = field(init=False, default_factory=dict)  # by alert id
    _refused: list[Refused] = field(init=False, default_factory=list)
    _duplicates: int = field(init=False, default=0)
    _looked: tuple[float, Decimal] = field(init=False, default=(0.0, ZERO))  # when, and equity then
    _owed: bool = field(init=False, default=False)
    _low_first: dict[str, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not self.timeline:
            raise Misconfigured("there is nothing to replay: the files hold no candle and no alert")
        self._began = self.timeline[0].time
        self.loaded = replace(self.loaded, settings=on_paper(self.loaded.settings, self.timeline, self.quote))

    def run(self) -> Replayed:
        # Trio shuffles its tasks, so that nobody relies on an order; here it must be the same each time.
        vars(scheduler)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
        scheduler._r.seed(0)  # noqa: SLF001 - no public way
        gc.set_threshold(GARBAGE)
        return trio.run(self._run, clock=self._clock, strict_exception_groups=True)

    def _wall(self) -> float:
        return self._began + self._clock.now

    async def _run(self) -> Replayed:
        INLINE.set(True)
        with tempfile.TemporaryDirectory(prefix="fks-replay-") as folder:
            store = SqliteStore.open(Path(folder) / "fks.db", wall=self._wall, ballast_bytes=0, durable=False)
            try:
                async with trio.open_nursery() as nursery:
                    await self._start(nursery, store)
                    await self._play()
                    nursery.cancel_scope.cancel()
                return store.read(self._result)
            finally:
                store.close()

    async def _start(self, nursery: trio.Nursery, store: SqliteStore) -> None:
        ref, inbox = mailbox("journal", JournalActor.MAILBOX, Write)
        journal = Journal(ref, store)
        metrics = Metrics("replay", self._began)
        listeners = Listeners((), ())
        alone = NotifySocket({}, 0)
        self._daemon = _Unattended(
            self.loaded, store, metrics, ref, inbox, journal, listeners, alone, wall=self._wall
        )
        await nursery.start(self._daemon.run)
        await wait_all_tasks_blocked()
        self._curve = Curve(self._equity())

    # --- the past

    async def _play(self) -> None:
        for done, event in enumerate(self.timeline, start=1):
            await self._until(event.time - self._began)
            if isinstance(event, Sent):
                await self._send(event)
            changed = self._moved(event)
            equity = self._equity()
            self._curve.add(equity)
            if changed or self._worth_a_look(equity):
                await self._rest()
                self._looked = self._clock.now, equity
            if done % EVERY == 0:
                self.progress(EVERY)
        await self._until(self._clock.now + REST_S)

    async def _until(self, then: float) -> None:
        """Let what is owed happen in its own time, at most `REST_S` of it; then it is `then`."""
        limit = min(then, self._clock.now + REST_S)
        while self._owed:
            step = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if self._clock.now + step > limit:
                break
            self._clock.now += max(step, 0.0)
            await self._rest()
        self._clock.now = max(then, self._clock.now)

    async def _rest(self) -> None:
        """Everybody does what there is to do now; what was due fires once."""
        await wait_all_tasks_blocked()
        self._owed = self._daemon.store.read(lambda ledger: ledger.backlog()) > 0

    def _worth_a_look(self, equity: Decimal) -> bool:
        at, then = self._looked
        return self._clock.now - at >= LOOK_S or abs(equity - then) > LOOK_SHARE * abs(then)

    def _venues(self) -> list[PaperVenue]:
        venues = (crew.account.venue for crew in self._daemon.crews.all())
        return [one for one in venues if isinstance(one, PaperVenue)]

    def _equity(self) -> Decimal:
        return sum((venue.equity(self.quote) for venue in self._venues()), ZERO)

    def _moved(self, event: Happening) -> bool:
        """Tell the exchanges the price; whether an order has changed by it."""
        if isinstance(event, Sent):
            return True
        venues = self._venues()
        if isinstance(event, Tick):
            symbol, price = event.symbol, event.price
        else:
            symbol = event.candle.symbol
            if event.stage == 1:
                hurt = (venue.low_hurts(symbol) for venue in venues)
                nearer = event.candle.open - event.candle.low < event.candle.high - event.candle.open
                self._low_first[symbol] = next((one for one in hurt if one is not None), nearer)
            price = event.price(low_first=self._low_first.get(symbol, True))
        gap = isinstance(event, Tick) or event.stage == 0
        changed = [venue.tell(symbol, price, gap=gap) for venue in venues]
        return any(changed)

    async def _send(self, sent: Sent) -> None:
        """Knock at the real door, as the sender would."""
        answered: list[Any] = []
        headers = {b"x-signature": sign(_OWN, sent.body).encode()} if sent.dated else _standard(sent)
        scope = {
            "type": "http", "method": "POST", "path": "/webhook", "client": ("127.0.0.1", 1),
            "headers": list(headers.items()),
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            await trio.lowlevel.checkpoint()
            return {"type": "http.request", "body": sent.body}

        async def send(message: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            answered.append(message)

        await self._daemon.front(scope, receive, send)
        status, reply = answered[0]["status"], msgspec.json.decode(answered[1]["body"])
        if reply.get("status") == "duplicate":
            self._duplicates += 1
        elif "alert_id" in reply and status < 300:
            self._lines[reply["alert_id"]] = (sent.time, sent.line)
        else:
            code = reply.get("code") or f"http.{status}"
            self._refused.append(Refused(sent.time, sent.line, code, reply.get("detail", "")))

    # --- what came of it

    def _result(self, ledger: Reader) -> Replayed:
        done, still_open = round_trips(_executions(ledger), self._steps())
        refused = [*self._refused, *(_refusal(ledger, *one) for one in self._came_to_nothing(ledger))]
        last, alarms, orders = _chain(ledger)
        return Replayed(
            quote=self.quote,
            began=self._began,
            ended=self._wall(),
            alerts=len(self._lines) + len(self._refused),
            duplicates=self._duplicates,
            orders=orders,
            performance=performance(done, still_open, self._curve),
            closed=tuple(done),
            still_open=tuple(still_open),
            refused=tuple(sorted(refused, key=lambda one: (one.time, one.line))),
            alarms=alarms,
            chain=last,
        )

    def _steps(self) -> dict[str, Decimal]:
        return {
            name: market.amount_step for venue in self._venues() for name, market in venue.markets().items()
        }

    def _came_to_nothing(self, ledger: Reader) -> list[tuple[str, float, int]]:
        """The accepted alerts that were refused later: id, time and line."""
        states = {alert_id: ledger.alert_state(alert_id) for alert_id in self._lines}
        return [
            (one, *self._lines[one]) for one, state in states.items() if state in (AlertState.REFUSED, None)
        ]


def _standard(sent: Sent) -> dict[bytes, bytes]:
    """Standard Webhooks: the signature carries the time that the body does not tell."""
    stamp = str(int(sent.time))
    name = hashlib.sha256(stamp.encode() + sent.body).hexdigest()[:24]
    signed = f"{name}.{stamp}.".encode() + sent.body
    signature = base64.b64encode(hmac.new(_OWN.reveal().encode(), signed, hashlib.sha256).digest())
    return {
        b"webhook-id": name.encode(),
        b"webhook-timestamp": stamp.encode(),
        b"webhook-signature": b"v1," + signature,
    }


def _executions(ledger: Reader) -> Iterator[Execution]:
    whose, after = Attribution(), 0
    while (chunk := ledger.executions(after))[0]:
        executions, after = chunk
        for one in executions:
            yield from whose.parts(one)


def _refusal(ledger: Reader, alert_id: str, time: float, line: int) -> Refused:
    code, reason = replies.refusal(ledger.intents_of(alert_id), ledger.orders_of(alert_id))
    return Refused(time, line, code, reason)


def _chain(ledger: Reader) -> tuple[str, tuple[tuple[float, str, str], ...], int]:
    """A hash of all events, the alarms among them, and how many orders were planned."""
    digest, alarms, orders, after = hashlib.sha256(), [], 0, 0
    while events := ledger.events(after):
        for event in events:
            digest.update(msgspec.json.encode(event))
            orders += event.kind == order_event(State.PLANNED)
            if event.kind == Kind.ALARM:
                alarms.append((event.time, str(event.data.get("code")), str(event.data.get("detail"))))
        after = events[-1].seq
    return digest.hexdigest(), tuple(alarms), orders
