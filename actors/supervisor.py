"""The whole graph on one screen: who there is, who wakes whom, and in which order all starts and stops.

The only place that knows two actors. Alerts run downhill: front → journal → sizing → journal →
exchange → journal; the journal's fan-out is the only thing that wakes anybody.
"""

import os
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from socket import socket

import msgspec
import structlog
import trio
from hypercorn.typing import ASGIFramework

from fks.actors.audit import Audit, AuditActor
from fks.actors.desk import DeskDeps, make_desk
from fks.actors.exchange import Exchange
from fks.actors.follower import Follower
from fks.actors.front import MAX_BODY, Front, Waiters
from fks.actors.guard import Guard
from fks.actors.journal import JournalActor
from fks.actors.lint import Linter
from fks.actors.metrics import MetricsActor
from fks.actors.reconciler import Reconciler
from fks.actors.sentinel import Sentinel
from fks.actors.sizing import Sizing
from fks.actors.trades import Trades
from fks.domain.addresses import networks
from fks.domain.errors import Overloaded, Refusal
from fks.domain.events import Kind, wakes
from fks.domain.gate import GateRules, gate_rules
from fks.domain.messages import Event, Look, Market, Ticker
from fks.domain.orders import State
from fks.domain.secret import Secret
from fks.infra.audit import AuditExporter
from fks.infra.config import ConfigError, Loaded, load
from fks.infra.credentials import ensure_secret
from fks.infra.http_server import ServerLimits, serve
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.listeners import Listeners
from fks.infra.metrics import Metrics
from fks.infra.notify_socket import NotifySocket
from fks.kernel import Broadcast, Inbox, M, Make, Ref, Restart, mailbox, supervise, sustain
from fks.ledger import Journal, Reader, Write
from fks.venues.account import Account
from fks.venues.accounts import AccountMaker
from fks.venues.outlook import Outlook
from fks.venues.trio_ccxt import exchange_ids

MAX_BACKLOG = 5_000  # alerts and orders that the daemon owes; beyond it, senders are asked to come again
BACKLOG_S = 0.5
DESK_PRICE_AGE_S = 10.0
REFUSAL_S = 3.0  # how long a refusal of the journal speaks against taking more

log = structlog.get_logger(actor="supervisor")


class Running(msgspec.Struct, frozen=True):
    """Where the daemon listens, once it does."""

    door: tuple[str, ...]
    desk: tuple[str, ...]


@dataclass(slots=True)
class Daemon:
    """Everything that lives as long as the process."""

    loaded: Loaded
    store: SqliteStore
    metrics: Metrics
    journal_ref: Ref[Write]
    journal_inbox: Inbox[Write]
    journal: Journal
    listeners: Listeners
    systemd: NotifySocket
    wall: Callable[[], float] = field(default_factory=lambda: time.time)
    waiters: Waiters = field(default_factory=Waiters)
    events: Broadcast[Sequence[Event]] = field(default_factory=Broadcast)
    accounts: dict[str, Account] = field(default_factory=dict)
    mailboxes: dict[str, dict[str, Ref[Look]]] = field(default_factory=dict)
    backlog: int = 0
    refused_at: float = float("-inf")  # by the journal, last: disk full or locked
    draining: bool = False
    told: trio.Event = field(default_factory=trio.Event)  # a signal to stop
    stopping: trio.Event = field(default_factory=trio.Event)  # for the two servers
    closed: list[trio.Event] = field(default_factory=list)  # by them, when their last reply is out
    hurry: trio.CancelScope = field(default_factory=trio.CancelScope)
    trades: Trades = field(init=False)

    def __post_init__(self) -> None:
        self.trades = Trades(self.journal, self._markets)

    async def run(self, task_status: trio.TaskStatus[Running]) -> None:
        """The journal outlives everybody who writes to it."""
        async with trio.open_nursery() as core:
            async with trio.open_nursery() as actors:
                await self._start(core, actors)
                await self._record(Kind.DAEMON_STARTED)
                log.info("daemon_started", door=self.listeners.door_names, desk=self.listeners.desk_names)
                self.systemd.ready()
                actors.start_soon(self._tell_systemd)
                task_status.started(Running(self.listeners.door_names, self.listeners.desk_names))
                await self.told.wait()
                await self._drain()
                actors.cancel_scope.cancel()
            await self._record(Kind.DAEMON_STOPPED)
            self.journal_ref.close()
        log.info("daemon_stopped")

    async def _record(self, kind: Kind) -> None:
        """A full disk keeps the daemon neither from following its orders nor from stopping in peace."""
        try:
            await self.journal.write(lambda ledger: ledger.note(kind))
        except (Overloaded, trio.TooSlowError) as error:
            log.warning("audit_record_lost", kind=kind, reason=str(error) or "the journal is slow")

    # --- the graph

    async def _start(self, core: trio.Nursery, actors: trio.Nursery) -> None:
        audit_ref, audit_inbox = mailbox("audit", AuditActor.MAILBOX, Audit)
        metrics_ref, metrics_inbox = mailbox("metrics", 256, tuple[Event, ...])
        observers = (
            self.waiters.observe,
            self._wake,
            self.events.publish,
            lambda _events: audit_ref.offer(Audit.LOOK),
            lambda events: metrics_ref.offer(tuple(events)),
        )
        journal = JournalActor(
            self.store,
            self.journal_inbox,
            observers=observers,
            on_commit=self.metrics.committed,
            on_refusal=self._journal_refused,
        )
        await self._vital(core, lambda _tasks: journal, self.journal_inbox, JournalActor.RESTART)
        exporter = AuditExporter(self.loaded.audit_path, self.store)
        make_metrics = partial(MetricsActor, metrics=self.metrics, journal=self.journal, wall=self.wall)
        actors.start_soon(self._observe, lambda _tasks: AuditActor(exporter), audit_inbox, AuditActor.RESTART)
        actors.start_soon(self._observe, make_metrics, metrics_inbox, Restart())
        maker = AccountMaker(
            self.loaded.settings,
            self.store,
            self.journal,
            markets=self.loaded.state_dir / "markets",
            wall=self.wall,
            meter=self.metrics,
        )
        names = self.loaded.settings.exchanges
        outlooks = {name: await self._account(actors, maker, name) for name in names}
        self.metrics.pulled.accounts = {name: one.status for name, one in self.accounts.items()}
        boxes = [ref for own in self.mailboxes.values() for ref in own.values()]
        self.metrics.pulled.mailboxes = [self.journal_ref, audit_ref, metrics_ref, *boxes]
        actors.start_soon(self._watch_backlog)
        actors.start_soon(self._obey_signals, audit_ref)
        await self._open_addresses(actors, outlooks)

    async def _account(self, actors: trio.Nursery, maker: AccountMaker, name: str) -> Outlook:
        settings = self.loaded.settings
        account = await maker.make(name)
        self.accounts[name] = account
        outlook = Outlook(
            account,
            settings.sizing,
            settings.risk,
            self.trades,
            settings.strategies,
            settings.webhook.on_drift,
        )
        drift, reduces = self.metrics.drift, settings.risk.on_position_drift == "reduce"
        unprotected = self.metrics.unprotected
        makers: dict[str, tuple[Make[Look], Restart]] = {
            "exchange": (lambda tasks: Exchange(tasks, account, settings.symbols), Exchange.RESTART),
            "sizing": (lambda tasks: Sizing(tasks, outlook), Sizing.RESTART),
            "follower": (lambda tasks: Follower(tasks, account), Follower.RESTART),
            "reconciler": (lambda tasks: Reconciler(tasks, account, drift, reduces), Reconciler.RESTART),
            "guard": (lambda tasks: Guard(tasks, account, settings.risk, unprotected), Guard.RESTART),
        }
        boxes = self.mailboxes[name] = {}
        for actor, (make, policy) in makers.items():
            # one wake-up waits: a second would say nothing new
            boxes[actor], inbox = mailbox(f"{actor}/{name}", 1, Look)
            actors.start_soon(self._contained, account, make, inbox, policy)
        return outlook

    async def _vital(self, nursery: trio.Nursery, make: Make[M], inbox: Inbox[M], policy: Restart) -> None:
        """An actor without which the daemon must not go on: giving up ends the process."""
        await nursery.start(partial(supervise, make, inbox, policy, on_restart=self.metrics.restarted))

    async def _observe(self, make: Make[M], inbox: Inbox[M], policy: Restart) -> None:
        """One that only looks on: while it fails, trading goes on without it."""
        await sustain(make, inbox, policy, _observer_failed, on_restart=self.metrics.restarted)

    async def _contained(
        self, account: Account, make: Make[Look], inbox: Inbox[Look], policy: Restart
    ) -> None:
        """An account's actor: failing too often closes that account to entries, and no other account.

        The actor goes on at a slower pace, because what is open must still be canceled and closed.
        """
        await sustain(make, inbox, policy, account.fail, on_restart=self.metrics.restarted)

    def _wake(self, events: Sequence[Event]) -> None:
        """The journal's fan-out: an offer that finds the mailbox full finds the same wake-up there."""
        for event in events:
            if event.kind == Kind.ALARM and event.account is None:
                continue  # about an alert, not about an account
            accounts = self.mailboxes if event.account is None else (event.account,)
            for actor in wakes(event.kind):
                for account in accounts:
                    if (boxes := self.mailboxes.get(account)) is not None:
                        boxes[actor].offer(Look())

    # --- the addresses

    async def _open_addresses(self, actors: trio.Nursery, outlooks: dict[str, Outlook]) -> None:
        settings = self.loaded.settings
        rules = gate_rules(settings, lambda: self._secret("webhook_secret"))
        desk = make_desk(
            DeskDeps(
                journal=self.journal,
                accounts={name: account.status for name, account in self.accounts.items()},
                ticker=self._ticker,
                prices=self._prices,
                trades=self.trades,
                lint=Linter(self.journal, rules, outlooks, self.wall),
                metrics=self.metrics.text,
                unready=self._unready,
                token=settings.server.admin_token or self._secret("admin_token"),
                events=self.events,
                wall=self.wall,
                default_account=settings.default_exchange,
            )
        )
        limits = ServerLimits(
            max_connections=settings.server.max_connections,
            drain_s=settings.server.drain_s,
            max_body=2 * MAX_BODY,  # the front refuses, and counts, what is over its own limit
        )
        desk_limits = msgspec.structs.replace(limits, max_connection_life_s=None, drain_s=1.0)
        await self._serve(actors, self._front(rules), "door", self.listeners.door, limits)
        await self._serve(actors, desk, "desk", self.listeners.desk, desk_limits)

    def _front(self, rules: GateRules) -> Front:
        settings = self.loaded.settings
        return Front(
            journal=self.journal,
            rules=rules,
            allow=networks(settings.webhook.allow),
            trusted_proxies=networks(settings.server.trusted_proxies),
            indexes=lambda name: self.accounts[name].index,
            waiters=self.waiters,
            metrics=self.metrics,
            unready=self._unready,
            wall=self.wall,
        )

    async def _serve(
        self, actors: trio.Nursery, app: ASGIFramework, name: str, at: Sequence[socket], limits: ServerLimits
    ) -> None:
        closed = trio.Event()
        self.closed.append(closed)

        async def run(task_status: trio.TaskStatus[None]) -> None:
            await serve(app, at, limits, self.stopping, name=name, task_status=task_status)
            closed.set()

        await actors.start(run)

    async def _tell_systemd(self) -> None:
        accounts = {name: account.status for name, account in self.accounts.items()}
        await Sentinel(self.systemd, self.journal, accounts, self._unready).run()

    def _secret(self, name: str) -> Secret:
        return ensure_secret(self.loaded.state_dir / name)

    async def _ticker(self, name: str, symbol: str) -> Ticker:
        account = self.accounts.get(name)
        if account is None or account.index is None:
            raise Refusal("alert.account", f"there is no account {name[:60]!r} with markets", "exchange")
        return await account.venue.ticker(account.index.resolve(symbol).symbol)

    async def _prices(self, name: str, symbols: Collection[str]) -> dict[str, Decimal]:
        """To look at: of an exchange that did not answer last time, nobody waits for a price."""
        account = self.accounts.get(name)
        if account is None or account.index is None or not account.status.get().reachable:
            return {}
        return await account.quotes.all(symbols, DESK_PRICE_AGE_S)

    def _markets(self) -> dict[str, Mapping[str, Market]]:
        """Of the accounts that know theirs."""
        return {name: one.venue.markets() for name, one in self.accounts.items() if one.index is not None}

    def _unready(self) -> list[str]:
        reasons = ["the daemon is stopping"] if self.draining else []
        if trio.current_time() < self.refused_at + REFUSAL_S:
            reasons.append("the journal takes nothing at the moment: look at the disk and the log")
        if self.backlog > MAX_BACKLOG:
            reasons.append(f"{self.backlog} alerts and orders are waiting")
        return reasons

    def _journal_refused(self, reason: str) -> None:
        self.refused_at = trio.current_time()
        self.metrics.commit_failed(reason)

    async def _watch_backlog(self) -> None:
        while True:
            with suppress(Overloaded):  # locked by another program: the last figure stays
                self.backlog = await self.journal.read(lambda ledger: ledger.backlog())
            await trio.sleep(BACKLOG_S)

    # --- the end

    async def _obey_signals(self, audit: Ref[Audit]) -> None:
        """TERM and INT stop, once more in a hurry; HUP reopens the audit file after logrotate."""
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        with trio.open_signal_receiver(*handled) as signals:
            async with trio.open_nursery() as reloads:  # none of them may keep a TERM waiting
                async for number in signals:
                    log.info("signal_received", signal=signal.Signals(number).name)
                    if number == signal.SIGHUP:
                        reloads.start_soon(audit.tell, Audit.REOPEN)
                        reloads.start_soon(self._check_configuration)
                    elif self.told.is_set():
                        self.hurry.cancel()
                    else:
                        self.told.set()

    async def _check_configuration(self) -> None:
        """The present settings stay until the next start; this says whether that one would succeed."""
        self.systemd.reloading()
        read = partial(load, self.loaded.path, os.environ, exchange_ids())
        try:
            await trio.to_thread.run_sync(read)
        except ConfigError as error:
            log.error("configuration_refused", errors=error.errors, then="the present one stays")  # noqa: TRY400 - the errors say it all
        else:
            log.info("configuration_checked", then="it takes effect at the next start")
        self.systemd.ready()

    async def _drain(self) -> None:
        """No new alerts, no new entries; what is on its way gets its answer, or is looked up next time."""
        self.systemd.stopping()
        self.draining = True
        self.stopping.set()
        for account in self.accounts.values():
            account.tell(ready=False, reason="the daemon is stopping")
        self.hurry.deadline = trio.current_time() + self.loaded.settings.server.drain_s
        with self.hurry:
            for closed in self.closed:
                await closed.wait()
            while await self.journal.read(_sending):  # noqa: ASYNC110 - the ledger cannot set an event
                await trio.sleep(0.05)


async def _observer_failed(actor: str, error: Exception) -> None:
    log.error("observer_failed", actor_failed=actor, reason=str(error))


def _sending(ledger: Reader) -> bool:
    return any(order.state is State.SENDING for order in ledger.live_orders())


async def daemon(loaded: Loaded, *, task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until SIGTERM or SIGINT. Raises Fatal, whose `exit_code` tells systemd why."""
    loaded.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    listeners = Listeners.open(loaded.settings.server, os.environ, os.getpid())
    try:
        store = await trio.to_thread.run_sync(partial(SqliteStore.open, loaded.journal_path, wall=time.time))
    except BaseException:
        listeners.close()
        raise
    try:
        ref, inbox = mailbox("journal", JournalActor.MAILBOX, Write)
        metrics = Metrics(version("fks-execution"), time.time())
        journal = Journal(ref, store)
        systemd = NotifySocket(os.environ, os.getpid())
        await Daemon(loaded, store, metrics, ref, inbox, journal, listeners, systemd).run(task_status)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close)
