"""sizing: the only maker of orders. One per account, so that no race of alerts passes a limit.

in   Look: the ledger has something undecided (a wake-up; what there is to do, the ledger says)
out  journal: plan or refuse. The exchange actor is woken by what the journal then publishes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import trio
from msgspec.structs import replace

from fks.domain import overtaking, strategy
from fks.domain.alerts import Alert
from fks.domain.decide import Planned, decide_in_doubt, may_exit, noticed
from fks.domain.errors import Overloaded, Refusal
from fks.domain.events import Kind
from fks.domain.messages import Balance, Exposure, Intent, Look, Market, TradingState
from fks.domain.orders import IllegalTransition
from fks.domain.risk import effective_trading
from fks.domain.view import Rules
from fks.kernel import Restart
from fks.ledger import Ledger
from fks.venues.account import Account
from fks.venues.outlook import PRICE_AGE_S, Outlook

BATCH = 64
PULSE_S = 1.0  # how often what waits (for a price, a cancel, the markets) is looked at again
DOUBT_S = 15.0  # so long an entry may wait for what a canceled order may show late

Change = Callable[[Ledger], Any]


@dataclass(slots=True)
class Sizing:
    """Reads what is undecided, gathers a view of the account, writes the decision down."""

    RESTART: ClassVar = Restart()

    tasks: trio.Nursery
    outlook: Outlook
    account: Account = field(init=False)
    _postponed: set[str] = field(init=False, default_factory=set)  # alerts of which the log tells that
    _hinted: set[str] = field(init=False, default_factory=set)  # undecided alerts whose price is told
    _turn: trio.Lock = field(init=False, default_factory=trio.Lock)  # pulse and wake-up take turns

    def __post_init__(self) -> None:
        self.account = self.outlook.account

    async def start(self) -> None:
        self.tasks.start_soon(self._pulse)

    async def handle(self, _look: Look) -> None:
        await self._decide_all()

    async def _pulse(self) -> None:
        while True:
            await self._decide_all()
            await trio.sleep(PULSE_S)

    async def _decide_all(self) -> None:
        async with self._turn:
            sweep = _Sweep()
            try:
                while await self._decide_page(sweep):
                    pass
                self._postponed = sweep.postponed
                self._hinted &= {one.alert_id for waiting in sweep.waiting.values() for one in waiting}
            except* Overloaded as full:  # nothing was written; the next pulse comes again
                self.account.log.warning("decision_postponed", reason=str(full.exceptions[0]))
            except* IllegalTransition as late:  # a write that was given up as too slow came through
                self.account.log.info("decided_already", reason=str(late.exceptions[0]))

    async def _decide_page(self, sweep: "_Sweep") -> bool:
        """Decide what can be decided of the next intents. Whether there may be more."""
        account = self.account
        doubts = dict(account.ended)
        intents, trading, exposure = await account.journal.read(
            lambda ledger: (
                ledger.unsized(account.name, BATCH, sweep.after),
                ledger.trading(),
                ledger.exposure(account.name, account.wall()),
            )
        )
        if not intents:
            return False
        sweep.after = intents[-1].alert_id
        # Of both moments: what ends meanwhile is only in the later, what is settled only in the earlier one.
        doubtful = tuple(order for order, _ in (account.ended | doubts).values())
        failed = account.status.get().failed  # then a reversal still closes what is held
        due = self._due(intents, sweep)
        batch = _Batch(
            sweep,
            intents,
            replace(exposure, doubtful=doubtful),
            TradingState.HALTED if failed else effective_trading(trading, account.name),
            await self.outlook.balance([intent.alert for intent in due]),
        )
        await account.quotes.all(self._symbols(due, sweep), PRICE_AGE_S)
        for intent in intents:
            await self._decide(intent, batch)
        await account.journal.write_all(batch.changes)  # in order: a later one may cancel an earlier one's
        return len(intents) == BATCH

    async def _decide(self, intent: Intent, batch: "_Batch") -> None:
        with self.account.spared(alert_id=intent.alert_id):
            await self._decide_one(intent, batch)

    async def _decide_one(self, intent: Intent, batch: "_Batch") -> None:
        rules, sweep = self.outlook.rules(intent.alert), batch.sweep
        drift: str | None = None
        symbol, overtaken = "", list[Intent]()
        try:
            market = self._market(intent, sweep)
            if market is None:
                sweep.blind = True
                return  # undecided: later, or refused as stale by then
            symbol, spot = market.symbol, market.kind == "spot"
            self._hint(intent, market)
            waiting = sweep.waiting.get(symbol, ())
            passed = overtaking.passed(intent.alert, waiting, own=rules.own is not None, spot=spot)
            if passed is None:
                sweep.wait(intent, symbol)
                return
            view = await self.outlook.view(intent.alert, market, batch.exposure, batch.trading, batch.balance)
            if view is None:
                sweep.wait(intent, symbol)  # later intents must not overtake it
                return
            overtaken = passed
            drift = noticed(intent, view)
            patient = bool(view.exposure.doubtful) and self._may_wait(intent, symbol, batch)
            decided = decide_in_doubt(intent, view, rules, patient=patient)
        except Refusal as refusal:  # also a close that finds no position ends what it overtakes
            end = self._end(overtaking.ended(intent.alert, overtaken, closes=False), intent, symbol, sweep)
            self._refuse(intent, refusal, end, batch)
            self._tell_drift(intent, drift, rules, batch)
            return
        if decided is None:
            self._postpone(intent, symbol, batch)
            return
        ended = overtaking.ended(intent.alert, overtaken, closes=bool(decided.orders))
        self._plan(intent, decided, self._end(ended, intent, symbol, sweep), batch)
        self._tell_drift(intent, drift, rules, batch)
        self._tell_withheld(intent, decided.withheld, batch)

    def _hint(self, intent: Intent, market: Market) -> None:
        """Also of one that waits: it may be what the others wait for. Once: later its price is an old one."""
        if intent.alert_id not in self._hinted:
            self._hinted.add(intent.alert_id)
            self.outlook.hint(intent.alert, market)

    def _plan(self, intent: Intent, decided: Planned, end: Change, batch: "_Batch") -> None:
        now = self.account.wall()
        live = (*batch.exposure.live, *decided.orders)
        batch.exposure = replace(batch.exposure, live=live)

        def write(ledger: Ledger) -> None:
            end(ledger)
            ledger.request_cancel(decided.cancel, now, intent.alert_id)
            ledger.extend(decided.add)
            ledger.plan(intent, decided.orders)

        batch.changes.append(write)

    def _refuse(self, intent: Intent, refusal: Refusal, end: Change, batch: "_Batch") -> None:
        self._log_refusal(intent, refusal)

        def write(ledger: Ledger) -> None:
            end(ledger)
            ledger.refuse(intent, refusal)

        batch.changes.append(write)

    def _log_refusal(self, intent: Intent, refusal: Refusal) -> None:
        told = {"code": refusal.code, "detail": refusal.detail}
        self.account.log.warning("intent_refused", alert_id=intent.alert_id, **told)

    def _end(self, ended: Sequence[Intent], by: Intent, symbol: str, sweep: "_Sweep") -> Change:
        """A part of the change that `by` is: apart from it, they could come alive behind a close."""
        refusal = overtaking.refusal(by)
        for one in ended:
            self._log_refusal(one, refusal)
        if ended:
            sweep.end(ended, symbol)

        def write(ledger: Ledger) -> None:
            for one in ended:
                ledger.refuse(one, refusal)

        return write

    def _may_wait(self, intent: Intent, symbol: str, batch: "_Batch") -> bool:
        """Not for long, and not with somebody behind it who wants out of the same market."""
        if self.account.wall() > intent.received_at + DOUBT_S:
            return False
        behind = batch.intents[batch.intents.index(intent) + 1 :]
        return symbol not in self._symbols([one for one in behind if _is(may_exit, one)], batch.sweep)

    def _postpone(self, intent: Intent, symbol: str, batch: "_Batch") -> None:
        batch.sweep.wait(intent, symbol)
        batch.sweep.postponed.add(intent.alert_id)
        if intent.alert_id not in self._postponed:
            why = "at a limit, and an order that has just ended may show a fill yet"
            self.account.log.info("decision_postponed", alert_id=intent.alert_id, reason=why)

    def _tell_withheld(self, intent: Intent, refusal: Refusal | None, batch: "_Batch") -> None:
        """A reversal that only closes: a change of its own, as with a drift."""
        if refusal is None:
            return
        told = {"alert_id": intent.alert_id, "code": refusal.code, "detail": f"only closed: {refusal.detail}"}
        self.account.log.warning("entry_withheld", **told)
        batch.changes.append(lambda ledger: ledger.note(Kind.ALARM, account=intent.account, **told))

    def _tell_drift(self, intent: Intent, drift: str | None, rules: Rules, batch: "_Batch") -> None:
        """A strategy's alert was missed, or refused: that is an alarm, unless its position is followed. It is
        a change of its own, so that a full disk that has no room for it does not hold up the orders.
        """
        if drift is None:
            return
        told = {"alert_id": intent.alert_id, "code": "strategy.drift", "detail": drift}
        self.account.log.error("strategy_drift", on_drift=rules.on_drift, **told)
        kind = Kind.STRATEGY_DRIFT if rules.on_drift == "follow" else Kind.ALARM
        batch.changes.append(lambda ledger: ledger.note(kind, account=intent.account, **told))

    def _market(self, intent: Intent, sweep: "_Sweep") -> Market | None:
        """None while the account's markets are not loaded. Raises Refusal."""
        if self.account.wall() > intent.good_until:
            raise Refusal("gate.stale", "the alert grew too old before it could be decided")
        index, status = self.account.index, self.account.status.get()
        if status.failed and (index is None or not may_exit(intent.alert)):
            raise Refusal("account.failed", f"account {status.account} is closed: {status.reason}")
        return None if index is None or sweep.blind else index.resolve(intent.alert.symbol)

    def _due(self, intents: Sequence[Intent], sweep: "_Sweep") -> list[Intent]:
        """Those that something is asked of the exchange for: what only waits behind others costs nothing."""

        def is_due(intent: Intent) -> bool:
            symbols = self._symbols([intent], sweep)
            return bool(symbols) and (_is(strategy.closes, intent) or not symbols & sweep.waiting.keys())

        return [intent for intent in intents if is_due(intent)]

    def _symbols(self, intents: Sequence[Intent], sweep: "_Sweep") -> set[str]:
        symbols = set()
        for intent in intents:
            try:
                market = self._market(intent, sweep)
            except Refusal:
                continue
            if market is not None:
                symbols.add(market.symbol)
        return symbols


@dataclass(slots=True)
class _Sweep:
    """One look at all that is undecided, page by page, oldest first: what waits hides nothing behind it.

    It is `blind` from the first alert on that found no markets: were they loaded meanwhile, later ones would
    overtake it.
    """

    blind: bool = False
    after: str | None = None  # the alert that it has come to
    waiting: dict[str, list[Intent]] = field(default_factory=dict)  # undecided, by symbol, oldest first
    postponed: set[str] = field(default_factory=set)

    def wait(self, intent: Intent, symbol: str) -> None:
        self.waiting.setdefault(symbol, []).append(intent)

    def end(self, ended: Sequence[Intent], symbol: str) -> None:
        """They wait no more; neither does what comes behind them, where nothing else waits."""
        ids = {one.alert_id for one in ended}
        self.waiting[symbol] = [one for one in self.waiting[symbol] if one.alert_id not in ids]
        if not self.waiting[symbol]:
            del self.waiting[symbol]


@dataclass(slots=True)
class _Batch:
    """One page's view of the account; orders planned in it count for those decided after them."""

    sweep: _Sweep
    intents: Sequence[Intent]
    exposure: Exposure
    trading: TradingState
    balance: Balance | None
    changes: list[Change] = field(default_factory=list)


def _is(what: Callable[[Alert], bool], intent: Intent) -> bool:
    """Of an alert that contradicts itself, nothing is: that is told when it is decided."""
    try:
        return what(intent.alert)
    except Refusal:
        return False
