"""The whole graph on one screen: who there is, who wakes whom, and in which order all starts and stops.

The only place that knows two actors. Alerts run downhill: front → journal → sizing → journal →
exchange → journal; the journal's fan-out is the only thing that wakes anybody.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from socket import socket
from typing import Any

import msgspec
import structlog
import trio
from hypercorn.typing import ASGIFramework

from fks.actors.audit import Audit, AuditActor
from fks.actors.configuration import read
from fks.actors.crew import sending
from fks.actors.crews import Crews
from fks.actors.desk import DeskDeps, make_desk
from fks.actors.front import MAX_BODY, WEBHOOKS, Front, Waiters
from fks.actors.janitor import Janitor
from fks.actors.journal import JournalActor
from fks.actors.lint import Linter
from fks.actors.metrics import MetricsActor
from fks.actors.notify import Notifier, Notify
from fks.actors.sentinel import Sentinel
from fks.domain.addresses import networks
from fks.domain.errors import Overloaded
from fks.domain.events import Kind
from fks.domain.gate import GateRules, gate_rules
from fks.domain.messages import Event, Look
from fks.domain.reload import changes, effective
from fks.domain.retention import rules as retention_rules
from fks.domain.secret import Secret
from fks.infra.audit import AuditExporter
from fks.infra.config import ConfigError, Loaded
from fks.infra.credentials import ensure_secret
from fks.infra.disk_usage import disk_usage
from fks.infra.http_server import ServerLimits, serve
from fks.infra.ledger_sqlite import SqliteStore
from fks.infra.listeners import Listeners
from fks.infra.log import set_level
from fks.infra.metrics import Metrics
from fks.infra.notify_socket import NotifySocket
from fks.kernel import Broadcast, Inbox, M, Make, Ref, Restart, in_thread, mailbox, supervise, sustain
from fks.ledger import Journal, Write, losing
from fks.venues.accounts import AccountMaker

MAX_BACKLOG = 5_000  # alerts and orders that the daemon owes; beyond it, senders are asked to come again
BACKLOG_S = 0.5
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
    reloading: trio.Lock = field(default_factory=trio.Lock)
    backlog: int = 0
    refused_at: float = float("-inf")  # by the journal, last: disk full or locked
    draining: bool = False
    told: trio.Event = field(default_factory=trio.Event)  # a signal to stop
    stopping: trio.Event = field(default_factory=trio.Event)  # for the two servers
    closed: list[trio.Event] = field(default_factory=list)  # by them, when their last reply is out
    hurry: trio.CancelScope = field(default_factory=trio.CancelScope)
    crews: Crews = field(init=False)
    notifier: Notifier = field(init=False)
    front: Front = field(init=False)
    linter: Linter = field(init=False)

    def __post_init__(self) -> None:
        self.notifier = Notifier(self.loaded.settings.notify)
        maker = AccountMaker(
            self.loaded.settings,
            self.store,
            self.journal,
            markets=self.loaded.state_dir / "markets",
            wall=self.wall,
            meter=self.metrics,
        )
        self.crews = Crews(self.journal, self.metrics, self.loaded.settings, maker)

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

    async def _record(self, kind: Kind, **data: Any) -> None:
        """A full disk keeps the daemon neither from following its orders nor from stopping in peace."""
        with losing(log, kind):
            await self.journal.write(lambda ledger: ledger.note(kind, **data))

    # --- the graph

    async def _start(self, core: trio.Nursery, actors: trio.Nursery) -> None:
        audit_ref, audit_inbox = mailbox("audit", AuditActor.MAILBOX, Audit)
        metrics_ref, metrics_inbox = mailbox("metrics", 256, tuple[Event, ...])
        observers = (
            self.waiters.observe,
            self.crews.wake,
            self.events.publish,
            lambda _events: audit_ref.offer(Audit.LOOK),
            lambda events: metrics_ref.offer(tuple(events)),
            self.notifier.observe,
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
        actors.start_soon(self._observe, lambda _tasks: AuditActor(exporter), audit_inbox, AuditActor.RESTART)
        actors.start_soon(self._observe, self._make_metrics, metrics_inbox, Restart())
        actors.start_soon(self._observe, self._make_notify, self.notifier.inbox, Notify.RESTART)
        janitor_ref, janitor_inbox = mailbox("janitor", Janitor.MAILBOX, Look)
        make_janitor = partial(self._make_janitor, exported=lambda: exporter.synced)
        actors.start_soon(self._observe, make_janitor, janitor_inbox, Janitor.RESTART)
        for name in self.loaded.settings.exchanges:
            await self.crews.enlist(actors, name)
        for name, detail in (await self.crews.forgotten()).items():
            log.error("alarm", account=name, code="account.unconfigured", detail=detail)
            await self._record(Kind.ALARM, account=name, code="account.unconfigured", detail=detail)
        common = (self.journal_ref, audit_ref, metrics_ref, self.notifier.ref, janitor_ref)
        pulled = self.metrics.pulled
        pulled.accounts, pulled.unready = self.crews.statuses, self._unready
        pulled.mailboxes = lambda: (*common, *self.crews.mailboxes())
        pulled.observers = {"metrics": lambda: metrics_ref.dropped, "events": lambda: self.events.dropped}
        pulled.secrets = lambda: self.loaded.settings.webhook.secrets
        actors.start_soon(self._watch_backlog)
        actors.start_soon(self._obey_signals, actors, audit_ref)
        await self._open_addresses(actors)

    def _make_metrics(self, tasks: trio.Nursery) -> MetricsActor:
        return MetricsActor(
            tasks,
            metrics=self.metrics,
            journal=self.journal,
            wall=self.wall,
            disk=partial(disk_usage, self.loaded.journal_path, self.loaded.audit_path),
            accounts=lambda: [crew.account for crew in self.crews.all()],
        )

    def _make_janitor(self, tasks: trio.Nursery, exported: Callable[[], int]) -> Janitor:
        return Janitor(
            tasks,
            journal=self.journal,
            rules=lambda: retention_rules(self.loaded.settings),
            markets=self.crews.markets,
            exported=exported,
            wall=self.wall,
        )

    def _make_notify(self, tasks: trio.Nursery) -> Notify:
        cell, told = self.notifier.settings, self.metrics.notified
        return Notify(tasks, cell, self.journal, self.crews.statuses, told, self.wall)

    async def _vital(self, nursery: trio.Nursery, make: Make[M], inbox: Inbox[M], policy: Restart) -> None:
        """An actor without which the daemon must not go on: giving up ends the process."""
        await nursery.start(partial(supervise, make, inbox, policy, on_restart=self.metrics.restarted))

    async def _observe(self, make: Make[M], inbox: Inbox[M], policy: Restart) -> None:
        """One that only looks on: while it fails, trading goes on without it."""
        await sustain(make, inbox, policy, _observer_failed, on_restart=self.metrics.restarted)

    # --- the addresses

    async def _open_addresses(self, actors: trio.Nursery) -> None:
        settings, rules = self.loaded.settings, self._rules()
        self.linter = Linter(self.journal, rules, self.crews.outlook, self.wall)
        self.front = self._front(rules)
        desk = make_desk(
            DeskDeps(
                journal=self.journal,
                accounts=self.crews.statuses,
                ticker=self.crews.ticker,
                prices=self.crews.prices,
                trades=self.crews.trades,
                lint=self.linter,
                metrics=self.metrics.text,
                unready=self._unready,
                token=self._admin_token(),
                events=self.events,
                wall=self.wall,
                default_account=lambda: self.loaded.settings.default_exchange,
                webhooks=dict.fromkeys(WEBHOOKS, self.front),
                known=lambda: self.front.rules.known,
            )
        )
        limits = ServerLimits(
            max_connections=settings.server.max_connections,
            drain_s=settings.server.drain_s,
            max_body=2 * MAX_BODY,  # the front refuses, and counts, what is over its own limit
        )
        desk_limits = msgspec.structs.replace(limits, max_connection_life_s=None, drain_s=1.0)
        await self._serve(actors, self.front, "door", self.listeners.door, limits)
        await self._serve(actors, desk, "desk", self.listeners.desk, desk_limits)

    def _rules(self) -> GateRules:
        return gate_rules(self.loaded.settings, lambda: self._secret("webhook_secret"), self._admin_token())

    def _front(self, rules: GateRules) -> Front:
        settings = self.loaded.settings
        return Front(
            journal=self.journal,
            rules=rules,
            allow=networks(settings.webhook.allow),
            trusted_proxies=networks(settings.server.trusted_proxies),
            indexes=self.crews.index,
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
        await Sentinel(self.systemd, self.journal, self.crews.statuses, self._unready).run()

    def _admin_token(self) -> Secret:
        return self.loaded.settings.server.admin_token or self._secret("admin_token")

    def _secret(self, name: str) -> Secret:
        return ensure_secret(self.loaded.state_dir / name)

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

    async def _obey_signals(self, actors: trio.Nursery, audit: Ref[Audit]) -> None:
        """TERM and INT stop, once more in a hurry; HUP reads the configuration anew, and reopens the audit
        file after logrotate.
        """
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        with trio.open_signal_receiver(*handled) as signals:
            async with trio.open_nursery() as reloads:  # none of them may keep a TERM waiting
                async for number in signals:
                    log.info("signal_received", signal=signal.Signals(number).name)
                    if number == signal.SIGHUP:
                        reloads.start_soon(audit.tell, Audit.REOPEN)
                        reloads.start_soon(self._reload, actors)
                    elif self.told.is_set():
                        self.hurry.cancel()
                    else:
                        self.told.set()

    # --- another configuration

    async def _reload(self, actors: trio.Nursery) -> None:
        """Take up what the file says now. A file with any error in it changes nothing."""
        async with self.reloading:
            if self.draining:  # an account that were taken up now would send again
                return
            self.systemd.reloading()
            try:
                new = await in_thread(partial(read, self.loaded.path, os.environ))
            except ConfigError as error:
                log.error("configuration_refused", errors=error.errors, then="the present one stays")  # noqa: TRY400 - the errors say it all
                self.metrics.reloaded(ok=False)
            else:
                await self._use(new, actors)
                self.metrics.reloaded(ok=True)
            self.systemd.ready()

    async def _use(self, new: Loaded, actors: trio.Nursery) -> None:
        now = self.loaded.settings
        found = changes(now, new.settings)
        self.loaded = msgspec.structs.replace(new, settings=effective(now, new.settings))
        settings = self.loaded.settings
        set_level(settings.log.level)
        self.notifier.use(settings.notify)
        rules = self._rules()
        self.linter.use(rules)
        self.front.use(
            rules, networks(settings.webhook.allow), networks(settings.server.trusted_proxies)
        )  # from here on no alert comes to an account that was removed
        await self.crews.use(settings, found, actors)
        for warning in new.warnings:
            log.warning("configuration", detail=warning)
        log.info("configuration_reloaded", **msgspec.to_builtins(found))
        if found.at_start:
            log.warning("restart_needed", keys=found.at_start, then="until then the old values hold")

    # --- the end

    async def _drain(self) -> None:
        """No new alerts, no new entries; what is on its way gets its answer, or is looked up next time.

        Who comes meanwhile is answered 503 and sends again; where systemd holds the door, the next daemon
        answers.
        """
        self.systemd.stopping()
        self.draining = True
        self.waiters.close()
        if self.listeners.held:
            self.stopping.set()
        for crew in self.crews.all():
            crew.account.tell(ready=False, reason="the daemon is stopping")
        self.hurry.deadline = trio.current_time() + self.loaded.settings.server.drain_s
        with self.hurry:
            # Only for those that somebody works on: an answer may come, or be looked up next time.
            mine = partial(sending, accounts=self.crews.statuses)
            while await self.journal.read(mine):  # noqa: ASYNC110 - the ledger cannot set an event
                await trio.sleep(0.05)
            self.stopping.set()
            for closed in self.closed:
                await closed.wait()
            await self.notifier.take_leave()


async def _observer_failed(actor: str, error: Exception) -> None:
    log.error("observer_failed", actor_failed=actor, reason=str(error))


async def daemon(loaded: Loaded, *, task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until SIGTERM or SIGINT. Raises Fatal, whose `exit_code` tells systemd why."""
    loaded.make_state_dir()
    # Before the addresses: a second daemon is told that there is a first one, not that a port is in use.
    store = await trio.to_thread.run_sync(partial(SqliteStore.open, loaded.journal_path, wall=time.time))
    try:
        listeners = Listeners.open(loaded.settings.server, os.environ, os.getpid())
        ref, inbox = mailbox("journal", JournalActor.MAILBOX, Write)
        metrics = Metrics(version("fks-execution"), time.time())
        journal = Journal(ref, store)
        systemd = NotifySocket(os.environ, os.getpid())
        await Daemon(loaded, store, metrics, ref, inbox, journal, listeners, systemd).run(task_status)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close)
