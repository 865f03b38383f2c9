"""What must be known of an account to decide one alert, gathered in bounded time."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import trio

from fks.domain import kelly, risk_entry, sizing, strategy
from fks.domain.alerts import Action, Alert
from fks.domain.candles import Table
from fks.domain.decide import may_exit
from fks.domain.errors import Transient
from fks.domain.messages import Balance, Exposure, Market, TradingState
from fks.domain.orders import OrderType
from fks.domain.settings import (
    Limits,
    OnDrift,
    RiskSettings,
    Settings,
    SizingSettings,
    StrategySettings,
)
from fks.domain.trades import RoundTrip, TripQuery, Trips
from fks.domain.view import Rules, View
from fks.ledger import Reader
from fks.venues.account import Account
from fks.venues.history import History

PRICE_AGE_S = 1.0
HOLDING_PRICE_AGE_S = 60.0  # of what is merely counted as equity
BALANCE_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Asks the exchange for prices and balances, and only for those that the alert's decision needs."""

    account: Account
    size: SizingSettings
    limits: RiskSettings
    trades: Callable[[TripQuery], Awaitable[Trips]]
    strategies: Mapping[str, StrategySettings] = field(default_factory=dict)
    on_drift: OnDrift = "alarm"
    leverage: int = 0  # of entries that name none
    history: History = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", History(self.account.venue))

    @classmethod
    def of(
        cls, account: Account, settings: Settings, trades: Callable[[TripQuery], Awaitable[Trips]]
    ) -> "Outlook":
        """As the configuration says of this account."""
        own = settings.exchanges[account.name]
        return cls(
            account,
            sizing.laid_over(settings.sizing, own.sizing),
            own.risk or settings.risk,
            trades,
            settings.strategies,
            settings.webhook.on_drift,
            own.leverage,
        )

    def rules(self, alert: Alert) -> Rules:
        """What is configured for the alert on this account: its strategy's table laid over the account's."""
        own = self.strategies.get(alert.strategy or "")
        if own is None:
            return Rules(self.size, self.limits, None, self.on_drift, self.leverage)
        size = sizing.laid_over(self.size, own.sizing)
        return Rules(size, self.limits, own.risk, own.on_drift or self.on_drift, self.leverage)

    def hint(self, alert: Alert, market: Market) -> None:
        """A market alert's price is the last one that its sender saw; a limit is only a wish."""
        if alert.price is not None and alert.order_type not in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            self.account.venue.hint(market.symbol, alert.price)
            self.account.quotes.forget(market.symbol)

    async def view(
        self, alert: Alert, market: Market, exposure: Exposure, trading: TradingState, balance: Balance | None
    ) -> View | None:
        """None when something that the decision needs is not to be had at the moment. Raises Refusal."""
        ticker = await self.account.quotes.ticker(market.symbol, PRICE_AGE_S)
        if ticker is None and alert.price is not None:
            # Where no price is known at all (the paper exchange), the alert's own is the first one.
            self.account.venue.hint(market.symbol, alert.price)
            ticker = await self.account.quotes.ticker(market.symbol, PRICE_AGE_S)
        rules = sizing.effective_rules(alert, self.rules(alert).size)
        wants_equity = not strategy.closes(alert) and sizing.needs_equity(alert, rules)
        if ticker is None and (wants_equity or self._needs_price(alert, market)):
            return None
        if balance is None and wants_equity:
            return None
        try:
            position = await self._position(alert, market)
        except Transient as error:
            self.account.log.warning("position_unknown", reason=str(error))
            return None
        try:
            candles = await self._candles(alert, market, rules)
            trips = await self._trips(alert, rules)
        except Transient as error:
            self.account.log.warning("history_unknown", reason=str(error))
            return None
        return View(
            market=market,
            features=self.account.venue.features,
            exposure=exposure,
            trading=trading,
            now=self.account.wall(),
            price=ticker.last if ticker else None,
            price_time=ticker.time or None if ticker else None,
            equity=await self._equity(balance, market) if balance and wants_equity else None,
            free_base=balance.free.get(market.base, Decimal(0)) if balance else None,
            total_base=balance.total.get(market.base, Decimal(0)) if balance else None,
            position=position,
            candles=candles,
            trips=trips,
            **await self._recent(alert, market),
        )

    async def _candles(self, alert: Alert, market: Market, rules: SizingSettings) -> Table | None:
        """Those that size the alert, if any do. Raises Transient."""
        if strategy.closes(alert) or not sizing.needs_candles(alert, rules):
            return None
        count = sizing.candle_count(rules)
        return await self.history.closed(market.symbol, rules.atr_timeframe, count, self.account.wall())

    async def _trips(self, alert: Alert, rules: SizingSettings) -> tuple[RoundTrip, ...]:
        """The closed ones of the alert's strategy, if they size it. Raises Transient."""
        if strategy.closes(alert) or not sizing.needs_trips(alert, rules):
            return ()
        wanted = TripQuery(account=self.account.name, strategy=alert.strategy or "", limit=kelly.KEPT)
        with trio.move_on_after(BALANCE_PATIENCE_S):
            return tuple(trip for _, trip in (await self.trades(wanted)).closed)
        raise Transient("the journal's trades are not counted yet")

    async def _recent(self, alert: Alert, market: Market) -> dict[str, Any]:
        """What pauses and the limits of one market ask for. Read after the exposure: an entry that has ended
        since then is seen here, or in both.
        """
        account, symbol, now = self.account.name, market.symbol, self.account.wall()
        own, there = self.rules(alert).own, self.limits.symbols.get(symbol) or Limits()
        pause = max(self.limits.cooldown_s, there.cooldown_s)
        own_pause = own.cooldown_s if own else 0.0
        wants_today = bool(there.max_daily_loss or there.max_orders_per_minute)
        if not (pause or own_pause or wants_today):
            return {}

        def gather(ledger: Reader) -> dict[str, Any]:
            found: dict[str, Any] = {}
            if pause:
                found["last_entry"] = ledger.last_entry(account, symbol, now - pause)
            if own_pause:
                since = now - own_pause
                found["own_last_entry"] = ledger.last_entry(account, symbol, since, alert.strategy or "")
            if wants_today:
                found["symbol_today"] = ledger.symbol_today(account, symbol, now)
            return found

        recent: dict[str, Any] = await self.account.journal.read(gather)
        return recent

    async def _position(self, alert: Alert, market: Market) -> Decimal | None:
        """The exchange's own position where the alert closes it. Raises Transient."""
        closes = strategy.closes(alert) or strategy.change(alert) is strategy.Change.REVERSAL
        if market.kind == "spot" or not closes or alert.action is Action.CANCEL:
            return None
        with trio.move_on_after(BALANCE_PATIENCE_S):
            positions = await self.account.venue.positions()
            return next((one.amount for one in positions if one.symbol == market.symbol), Decimal(0))
        raise Transient("the exchange does not tell its positions in time")

    def _needs_price(self, alert: Alert, market: Market) -> bool:
        if strategy.closes(alert):
            return False
        all_there = (self.limits, self.rules(alert).own, self.limits.symbols.get(market.symbol))
        some = [one for one in all_there if one is not None]
        exits = self._exits(alert, market)
        if not exits and any(risk_entry.needs_price(alert, one) for one in some):
            return True
        bounded = any(one.max_order_notional or one.max_position_notional for one in some)
        limited = bounded and not alert.reduce_only  # no limit binds what only reduces
        relative = alert.stop_loss is not None or bool(alert.take_profit) or alert.amount is None
        if alert.order_type is OrderType.LIMIT and any(one.max_price_deviation for one in some):
            return True
        brings_its_own = alert.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        return (limited or relative) and not brings_its_own

    def _exits(self, alert: Alert, market: Market) -> bool:
        return may_exit(alert) or (market.kind == "spot" and alert.action is Action.SELL)

    async def balance(self, alerts: Sequence[Alert]) -> Balance | None:
        """Fetched only when one of the alerts is sized by it; None also when it does not come in time."""
        if not any(self._needs_balance(one) for one in alerts):
            return None
        with trio.move_on_after(BALANCE_PATIENCE_S):
            try:
                return await self.account.venue.balance()
            except Transient as error:
                self.account.log.warning("balance_unknown", reason=str(error))
        return None

    def _needs_balance(self, alert: Alert) -> bool:
        # A sale must know whether stops hold the coins, a close how many there are.
        if alert.action in (Action.SELL, Action.CLOSE):
            return True
        return alert.action is Action.BUY and alert.amount is None and alert.notional is None

    async def _equity(self, balance: Balance, market: Market) -> Decimal:
        quote = market.settle or market.quote
        if market.kind != "spot":
            return sizing.equity(balance, quote, {})
        markets = self.account.venue.markets()
        pairs = {base: f"{base}/{quote}" for base, total in balance.total.items() if total > 0}
        held = {base: pair for base, pair in pairs.items() if pair in markets}
        prices = await self.account.quotes.all(held.values(), HOLDING_PRICE_AGE_S)
        by_base = {base: prices[pair] for base, pair in held.items() if pair in prices}
        return sizing.equity(balance, quote, by_base)
