"""What is configured for an alert, and what is known of its account and market, when it is decided."""

from dataclasses import dataclass
from decimal import Decimal

from msgspec import Struct

from fks.domain.candles import Table
from fks.domain.messages import Exposure, Market, Share, TradingState
from fks.domain.settings import OnDrift, RiskSettings, SizingSettings, StrategyLimits
from fks.domain.trades import RoundTrip
from fks.domain.venue import Features


class Rules(Struct, frozen=True):
    """What is configured for an alert. `own`: the limits of its strategy, where that has a table: then it
    closes and cancels only what is its own. `leverage`: of entries that name none; 0: the exchange's.
    """

    size: SizingSettings = SizingSettings()
    limits: RiskSettings = RiskSettings()
    own: StrategyLimits | None = None
    on_drift: OnDrift = "alarm"
    leverage: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What is known when an intent is decided. `price` is the last one.

    `free_base` and `total_base`: what can be sold now, and what there is with what open orders hold.
    """

    market: Market
    features: Features
    exposure: Exposure
    trading: TradingState
    now: float
    price: Decimal | None = None
    equity: Decimal | None = None
    free_base: Decimal | None = None
    total_base: Decimal | None = None
    position: Decimal | None = None  # the exchange's own, of contracts
    price_time: float | None = None  # None: the exchange does not tell when the last trade was
    last_entry: float | None = None  # when an entry in this symbol was last sent, asked for a pause only
    own_last_entry: float | None = None  # the same of the alert's strategy
    symbol_today: Share | None = None  # what the account did in this market; asked for limits of it only
    trips: tuple[RoundTrip, ...] = ()  # the strategy's own closed ones, newest first; as candles
    candles: Table | None = None  # closed, on their grid; asked for a size by volatility only
