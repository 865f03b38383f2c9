"""notify: tells a human what was committed, and what became of the day.

in   Committed: events of the journal, of which some may be missed; Farewell, at the daemon's end
out  messages to the targets of `[notify] urls`; journal: that a day's summary was sent
An observer: nothing here is waited for by an order. While there is no URL nothing of it costs anything.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import ClassVar
from zoneinfo import ZoneInfo

import structlog
import trio

from fks.domain import daily, notices
from fks.domain.errors import Overloaded
from fks.domain.events import Kind
from fks.domain.limits import BreakerState
from fks.domain.messages import AccountStatus, Event
from fks.domain.orders import State
from fks.domain.outbox import Message, Outbox
from fks.domain.secret import Secret
from fks.domain.settings import NotifySettings
from fks.infra.courier import Count, Courier
from fks.infra.notify import Target, open_targets
from fks.kernel import Latest, Reply, Restart, ask, in_thread, mailbox
from fks.ledger import Journal, Reader, losing

MAILBOX = 256
FAREWELL_S = 3.0
BREAKER_S = 1.0
WATCH_S = 60.0  # how late the end of the day may be seen after the clock was set
READ_S = 60.0
AGAIN_S = 600.0  # until a summary that reached nobody is tried again

log = structlog.get_logger(actor="notify")

Open = Callable[[Sequence[Secret]], tuple[dict[Secret, Target], list[str]]]


class Note:
    """What the actor is told."""


@dataclass(frozen=True, slots=True)
class Committed(Note):
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Farewell(Note):
    """Send what waits, now; answered when it is sent."""

    reply: Reply[None]


class Notifier:
    """What others see of the actor, over all its lives."""

    def __init__(self, settings: NotifySettings) -> None:
        self.settings = Latest(settings)
        self.ref, self.inbox = mailbox("notify", MAILBOX, Note)

    def use(self, settings: NotifySettings) -> None:
        """From now on."""
        self.settings.set(settings)

    def observe(self, events: Sequence[Event]) -> None:
        if self.settings.get().urls:
            self.ref.offer(Committed(tuple(events)))

    async def take_leave(self) -> None:
        """Send what waits; after `FAREWELL_S` the daemon goes without it."""
        if self.settings.get().urls:
            with suppress(trio.TooSlowError):
                await ask(self.ref, Farewell, within=FAREWELL_S)


@dataclass(slots=True)
class Notify:
    """`settings` may be replaced at any time; the targets that stay keep what waits for them."""

    RESTART: ClassVar = Restart()

    tasks: trio.Nursery
    settings: Latest[NotifySettings]
    journal: Journal
    accounts: Mapping[str, Latest[AccountStatus]]  # those of the moment
    count: Count
    wall: Callable[[], float]
    open_targets: Open = open_targets
    _used: Latest[NotifySettings] = field(init=False, default_factory=lambda: Latest(NotifySettings()))
    _couriers: dict[Secret, Courier] = field(init=False, default_factory=dict)
    _outbox: Outbox = field(init=False)
    _stirred: trio.Event = field(init=False, default_factory=trio.Event)
    _summarised: float | None = field(init=False, default=None)  # the end of that day; None: not asked yet

    def __post_init__(self) -> None:
        settings = self.settings.get()
        self._outbox = Outbox(settings.digest_s, settings.per_minute)

    async def start(self) -> None:
        self.tasks.start_soon(self._follow_settings)
        self.tasks.start_soon(self._dispatch)
        self.tasks.start_soon(self._watch_day)
        self.tasks.start_soon(self._watch_breakers)

    async def handle(self, message: Note, /) -> None:
        match message:
            case Farewell(reply):
                await self._take_leave()
                reply.set(None)
            case Committed(events):
                kinds = notices.kinds(self.settings.get().on)
                for event in events:
                    if event.kind in kinds:
                        self._tell(notices.of(event))

    def _tell(self, notice: notices.Notice | None) -> None:
        settings = self.settings.get()
        if notice is not None and settings.urls and not set(notice.names).isdisjoint(settings.on):
            self._outbox.add(notice)
            self._stirred.set()

    async def _take_leave(self) -> None:
        self._tell(notices.stopping())
        if self._outbox.due(0.0) is not None:
            self._send(self._outbox.take(trio.current_time()))
        for courier in self._couriers.values():
            await courier.idle()

    # --- messages

    async def _follow_settings(self) -> None:
        while True:
            settings = self.settings.get()
            if settings == self._used.get():
                await self.settings.changed()
                continue
            await self._use(settings)
            self._used.set(settings)
            self._stirred.set()

    async def _use(self, settings: NotifySettings) -> None:
        """Targets that are new are opened, those that are gone end, with what waits for them."""
        self._outbox.pace(settings.digest_s, settings.per_minute)
        for url in self._couriers.keys() - set(settings.urls):
            self._couriers.pop(url).scope.cancel()
        new = [url for url in settings.urls if url not in self._couriers]
        if not new:
            return
        opened, problems = await in_thread(self.open_targets, new)
        for problem in problems:
            log.error("notify_url_unusable", detail=problem)
        for url, target in opened.items():
            self._couriers[url] = Courier(target, self.count)
            self.tasks.start_soon(self._couriers[url].run)

    async def _dispatch(self) -> None:
        while True:
            self._stirred = trio.Event()
            # Before the targets are open it waits for them.
            due = self._outbox.due(trio.current_time()) if self._couriers else None
            if due == 0:
                self._send(self._outbox.take(trio.current_time()))
                continue
            with trio.move_on_after(float("inf") if due is None else due):
                await self._stirred.wait()

    def _send(self, message: Message) -> None:
        for courier in self._couriers.values():
            courier.offer(message)

    async def _watch_breakers(self) -> None:
        """No event of the journal: they open and close with requests, not with orders."""
        told: dict[str, int] = {}
        while True:
            for name, status in self.accounts.items():
                state = BreakerState(status.get().breaker)
                if state not in (told.get(name, BreakerState.CLOSED), BreakerState.HALF_OPEN):
                    self._tell(notices.breaker(name, state))
                    told[name] = state
            await trio.sleep(BREAKER_S)

    # --- the day

    async def _watch_day(self) -> None:
        while True:
            settings, pause = self._used.get(), float("inf")
            if settings.urls and settings.daily_at:
                pause = await self._look_at_clock(settings)
            with trio.move_on_after(pause):
                await self._used.changed()

    async def _look_at_clock(self, settings: NotifySettings) -> float:
        """Seconds until the next look."""
        zone = ZoneInfo(settings.timezone) if settings.timezone else UTC
        now = self.wall()
        span = daily.span(now, daily.at_time(settings.daily_at), zone)
        try:
            if await self._owes(span) and not await self._summarise(span, zone):
                return AGAIN_S
        except (Overloaded, trio.TooSlowError) as error:
            log.warning("summary_postponed", reason=str(error) or "the journal is slow")
        return min(max(span.then - now, 0.0), WATCH_S)

    async def _owes(self, span: daily.Span) -> bool:
        """The journal remembers the last one, so that a restart neither repeats nor skips it. A journal that
        began within the day that is running owes nothing yet.
        """
        if self._summarised is None:
            told = await self.journal.read(_summarised, within=READ_S)
            self._summarised = self.wall() if told is None else told
        return span.until > self._summarised

    async def _summarise(self, span: daily.Span, zone: tzinfo) -> bool:
        """Whether it reached somebody."""

        def read(ledger: Reader) -> Message:
            unknown = [order for order in ledger.live_orders() if order.state is State.UNKNOWN]
            day = ledger.day(span.since, span.until)
            return daily.summary(until, day, ledger.positions(), unknown)

        until = f"{datetime.fromtimestamp(span.until, zone):%Y-%m-%d %H:%M %Z}"
        message = await self.journal.read(read, within=READ_S)

        async def bring(courier: Courier) -> None:
            if await courier.bring(message) and self._summarised != span.until:
                self._summarised = span.until
                await self._note_summary(span.until)

        async with trio.open_nursery() as all_of_them:
            for courier in self._couriers.values():
                all_of_them.start_soon(bring, courier)
        return self._summarised == span.until

    async def _note_summary(self, until: float) -> None:
        """As soon as somebody has it, and not before: should the process end between the two, a summary that
        comes twice does less harm than one that never comes.
        """
        with losing(log, Kind.SUMMARY_SENT):
            await self.journal.write(lambda ledger: ledger.note(Kind.SUMMARY_SENT, until=until))


def _summarised(ledger: Reader) -> float | None:
    """The end of the last day of which a summary was sent, or before which there was nothing to tell."""
    last = ledger.last_event(Kind.SUMMARY_SENT)
    if last is not None:
        return float(last.data["until"])
    first = ledger.events(0, 1)
    return first[0].time if first else None
