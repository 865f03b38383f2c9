"""The configuration as frozen structs: names, units and defaults. `infra.config` fills them.

An unknown key is an error, so a misspelt limit is never silently no limit.
"""

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

from fks.domain.limits import BreakerRules
from fks.domain.money import ZERO
from fks.domain.secret import Secret


class Moment(float):
    """UTC epoch seconds of a date in the file."""

    __slots__ = ()


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The two addresses. `host:port`, `[v6]:port` or `unix:/path`."""

    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    admin: tuple[str, ...] = ("127.0.0.1:8081",)
    trusted_proxies: tuple[str, ...] = ()
    public_url: str = ""  # where senders reach the door; `fks doctor` looks from there
    max_connections: int = 256
    drain_s: float = 20.0
    admin_token: Secret | None = None


class WebhookRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per source address."""

    burst: float = 100.0
    per_minute: float = 100.0


class WebhookSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of `webhook.secrets`: a table, or the secret alone. Its name stands in log, audit and metrics.

    `accounts` and `strategies` are what it may trade; empty: all.
    """

    secret: Secret = Secret("")
    name: str = ""  # infra.config fills in secret-1, secret-2, ...
    expires: Moment | None = None
    accounts: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()


OnDrift = Literal["alarm", "follow", "refuse"]
"""When the position that a strategy says it had is not the one in the book: do what the alert says and
raise an alarm; bring the position to what the strategy says it has now; or refuse.
"""


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No `secrets`: the daemon makes one. `allow`: networks, or `tradingview` for its published addresses.

    An alert is refused when it is older than `max_age_s`, further ahead than `max_future_s`, or less
    confident than `min_confidence` (0..1; 0: not asked for). A reply waits `wait_s` for the outcome.
    """

    secrets: tuple[WebhookSecret, ...] = ()
    on_drift: OnDrift = "alarm"
    allow: tuple[str, ...] = ("tradingview", "127.0.0.1/32")
    max_age_s: float = 300.0
    max_future_s: float = 30.0
    min_confidence: Decimal = Decimal("0.6")
    wait_s: float = 1.0
    rate: WebhookRate = WebhookRate()


SizingMethod = Literal[
    "fixed_percentage",
    "risk_based",
    "kelly",
    "volatility_adjusted",
    "fixed_amount",
    "fixed_notional",
    "target_position",
]


class KellySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`estimate`: win rate and payoff are those of the strategy's own closed trades on the account."""

    win_rate: Decimal = Decimal("0.55")
    payoff: Decimal = Decimal("1.5")
    fraction: Decimal = Decimal("0.5")
    estimate: bool = False
    min_trades: int = 30


class SizingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much an alert without a size of its own trades. Shares are of 1, not percent."""

    method: SizingMethod = "fixed_percentage"
    pct: Decimal = Decimal("0.05")
    risk_pct: Decimal = Decimal("0.02")
    amount: Decimal = ZERO
    notional: Decimal = ZERO
    target: Decimal = ZERO  # base units, below zero is short: target_position
    atr_period: int = 14
    atr_timeframe: str = "1h"
    atr_multiplier: Decimal = Decimal(2)
    nan: Literal["ffill", "bfill", "interpolate", "drop"] = "ffill"
    kelly: KellySettings = KellySettings()


class KellyChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `KellySettings`; what is None is as it was."""

    win_rate: Decimal | None = None
    payoff: Decimal | None = None
    fraction: Decimal | None = None
    estimate: bool | None = None
    min_trades: int | None = None


class SizingChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an account, a strategy or an alert says of its size; what is None is as it was.

    They are laid over `[sizing]` in that order, key by key, so the most specific wins
    (`domain.sizing.laid_over`).
    """

    method: SizingMethod | None = None
    pct: Decimal | None = None
    risk_pct: Decimal | None = None
    amount: Decimal | None = None
    notional: Decimal | None = None
    target: Decimal | None = None
    atr_period: int | None = None
    atr_timeframe: str | None = None
    atr_multiplier: Decimal | None = None
    nan: Literal["ffill", "bfill", "interpolate", "drop"] | None = None
    kelly: KellyChanges | None = None


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of an account, of a strategy on it, or of one market; they hold beside each other. 0 means no limit.

    Money is in the account's quote currency. `hours`: see `domain.risk_hours`; none is always.
    `max_slippage`: how much worse than the alert's price the last one may be for a market order, a share.
    """

    max_order_notional: Decimal = ZERO
    max_position_notional: Decimal = ZERO
    max_open_orders: int = 0
    max_orders_per_minute: int = 0
    max_daily_loss: Decimal = ZERO
    max_price_deviation: Decimal = ZERO
    max_slippage: Decimal = ZERO
    max_price_age_s: float = 0.0
    max_leverage: int = 0
    cooldown_s: float = 0.0  # between two entries in one symbol
    hours: tuple[str, ...] = ()


class StrategyLimits(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`allowed`, `denied`: markets; `denied` wins, and no `allowed` is all."""

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


class RiskSettings(StrategyLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of each account. `symbols`: limits of one market beside the account's."""

    max_price_deviation: Decimal = Decimal("0.05")
    symbols: dict[str, Limits] = field(default_factory=dict)
    unprotected_s: float = 30.0
    on_unprotected: Literal["alarm", "close"] = "alarm"
    max_drawdown: Decimal = ZERO
    max_consecutive_losses: int = 0
    max_unknown_s: float = 0.0
    on_position_drift: Literal["alarm", "reduce"] = "alarm"


class StrategySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[strategies.NAME]`: where it trades, how much, up to which limits, and who may send for it.

    `exchanges`: its accounts, all of them where an alert names none; empty: any, default
    `default_exchange`. `sizing` is laid over the account's. `risk` holds beside the account's limits, on each
    account, and counts this strategy's own orders and positions. `secret` may trade this strategy only.
    """

    exchanges: tuple[str, ...] = ()
    sizing: SizingChanges | None = None
    risk: StrategyLimits = StrategyLimits()
    secret: Secret | None = None
    on_drift: OnDrift | None = None


class JournalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url`: `sqlite:` and a path, relative to the state directory. `retention_days` 0: all is kept."""

    url: str = "sqlite:fks.db"
    retention_days: int = 365


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str = "audit.jsonl"


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class NotifySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`on`: words of `domain.notices.NAMES`. What comes within `digest_s` of a message goes with the next.
    `daily_at`: HH:MM in `timezone` (an IANA name; empty: UTC), when the day's summary is sent; empty: never.
    """

    urls: tuple[Secret, ...] = ()
    on: tuple[str, ...] = ("filled", "rejected", "unknown", "unprotected", "breaker", "halted")
    digest_s: float = 10.0
    per_minute: float = 10.0  # messages, to each URL
    daily_at: str = ""
    timezone: str = ""


class AccountRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reserve`: share of the exchange's own limit kept for cancels and queries."""

    reserve: float = 0.3


class Steps(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one market of the paper exchange; what is not given is the account's."""

    amount_step: Decimal | None = None
    price_tick: Decimal | None = None
    min_notional: Decimal | None = None


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[exchanges.NAME]`: an exchange type and its keys. The paper fields only matter to `paper`.

    `sizing` is laid over the global one; of `risk`, infra.config fills in what the table does not say.
    `leverage`: of entries in a contract that name none; 0: as it is set at the exchange.
    """

    type: str = ""  # a ccxt id, or "paper"; infra.config fills in the table's own name
    api_key: Secret = Secret("")
    api_secret: Secret = Secret("")
    password: Secret = Secret("")
    uid: Secret = Secret("")
    account_id: Secret = Secret("")
    wallet_address: Secret = Secret("")
    private_key: Secret = Secret("")
    token: Secret = Secret("")
    login: Secret = Secret("")
    twofa: Secret = Secret("")  # of one-time passwords: the secret that makes them
    testnet: bool = False
    market: Literal["spot", "swap", "future"] = "spot"
    base_url: str = ""
    proxy: Secret = Secret("")  # an address that may hold credentials
    symbols: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    breaker: BreakerRules = BreakerRules()
    rate: AccountRate = AccountRate()
    mode: Literal["live", "dry_run"] = "live"
    leverage: int = 0
    sizing: SizingChanges | None = None
    risk: RiskSettings | None = None
    balance: dict[str, Decimal] = field(default_factory=dict)
    fee: Decimal = Decimal("0.001")
    maker_fee: Decimal | None = None  # of a fill at the order's own resting price; default: fee
    taker_fee: Decimal | None = None  # of every other fill; default: fee
    slippage_bps: Decimal = Decimal(2)
    depth: Decimal = ZERO  # quote notional in the book within each slippage_bps of price; 0: endless
    max_leverage: int = 0  # 0: any
    maintenance: Decimal = Decimal("0.005")  # of a swap's notional; with less equity it is liquidated
    funding_rate: Decimal = ZERO  # of a swap's notional, from longs to shorts, every funding_h hours
    funding_h: float = 8.0
    ticks: str = ""  # a file of ticks or candles that moves the marks
    marks_from: str = ""  # a ccxt id whose public last prices move the marks
    prices: dict[str, Decimal] = field(default_factory=dict)
    amount_step: Decimal = Decimal("0.00000001")
    price_tick: Decimal = Decimal("0.01")
    min_notional: Decimal = Decimal(5)
    steps: dict[str, Steps] = field(default_factory=dict)  # by symbol


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    default_exchange: str = "paper"
    retry_attempts: int = 3
    retry_delay: float = 1.0
    timeout: float = 30.0
    secrets_dir: str = ""
    server: ServerSettings = ServerSettings()
    webhook: WebhookSettings = WebhookSettings()
    symbols: dict[str, str] = field(default_factory=dict)
    sizing: SizingSettings = SizingSettings()
    risk: RiskSettings = RiskSettings()
    strategies: dict[str, StrategySettings] = field(default_factory=dict)
    journal: JournalSettings = JournalSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    notify: NotifySettings = NotifySettings()
    exchanges: dict[str, AccountSettings] = field(default_factory=dict)
