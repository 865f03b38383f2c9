"""The configuration as frozen structs: names, units and defaults. `infra.config` fills them.

An unknown key is an error, so a misspelt limit is never silently no limit.
"""

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

from fks.domain.limits import BreakerRules
from fks.domain.money import ZERO
from fks.domain.secret import Secret


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The two addresses. `host:port`, `[v6]:port` or `unix:/path`."""

    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    admin: tuple[str, ...] = ("127.0.0.1:8081",)
    trusted_proxies: tuple[str, ...] = ()
    max_connections: int = 256
    drain_s: float = 20.0
    admin_token: Secret | None = None


class WebhookRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per source address."""

    burst: float = 100.0
    per_minute: float = 100.0


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    secrets: tuple[Secret, ...] = ()
    allow: tuple[str, ...] = ("tradingview", "127.0.0.1/32")
    max_age_s: float = 300.0
    max_future_s: float = 30.0
    min_confidence: Decimal = Decimal("0.6")
    wait_s: float = 1.0
    rate: WebhookRate = WebhookRate()


SizingMethod = Literal[
    "fixed_percentage", "risk_based", "kelly", "volatility_adjusted", "fixed_amount", "fixed_notional"
]


class KellySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    win_rate: Decimal = Decimal("0.55")
    payoff: Decimal = Decimal("1.5")
    fraction: Decimal = Decimal("0.5")


class SizingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much an alert without a size of its own trades. Shares are of 1, not percent."""

    method: SizingMethod = "fixed_percentage"
    pct: Decimal = Decimal("0.05")
    risk_pct: Decimal = Decimal("0.02")
    amount: Decimal = ZERO
    notional: Decimal = ZERO
    atr_period: int = 14
    atr_timeframe: str = "1h"
    atr_multiplier: Decimal = Decimal(2)
    nan: Literal["ffill", "bfill", "interpolate", "drop"] = "ffill"
    kelly: KellySettings = KellySettings()


class RiskSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """0 means no limit. Money in the account's quote currency."""

    max_order_notional: Decimal = ZERO
    max_position_notional: Decimal = ZERO
    max_open_orders: int = 0
    max_orders_per_minute: int = 0
    max_daily_loss: Decimal = ZERO
    max_price_deviation: Decimal = Decimal("0.05")
    unprotected_s: float = 30.0
    on_unprotected: Literal["alarm", "close"] = "alarm"


class JournalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = "sqlite:fks.db"
    retention_days: int = 365


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str = "audit.jsonl"


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class NotifySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    urls: tuple[Secret, ...] = ()
    on: tuple[str, ...] = ("filled", "rejected", "unknown", "unprotected", "breaker", "halted")


class AccountRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reserve`: share of the exchange's own limit kept for cancels and queries."""

    reserve: float = 0.3


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[exchanges.NAME]`: an exchange type and its keys. The paper fields only matter to `paper`."""

    type: str = ""  # a ccxt id, or "paper"; infra.config fills in the table's own name
    api_key: Secret = Secret("")
    api_secret: Secret = Secret("")
    password: Secret = Secret("")
    uid: Secret = Secret("")
    account_id: Secret = Secret("")
    wallet_address: Secret = Secret("")
    private_key: Secret = Secret("")
    token: Secret = Secret("")
    testnet: bool = False
    market: Literal["spot", "swap", "future"] = "spot"
    base_url: str = ""
    proxy: Secret = Secret("")  # an address that may hold credentials
    symbols: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    breaker: BreakerRules = BreakerRules()
    rate: AccountRate = AccountRate()
    mode: Literal["live", "dry_run"] = "live"
    balance: dict[str, Decimal] = field(default_factory=dict)
    fee: Decimal = Decimal("0.001")
    slippage_bps: Decimal = Decimal(2)
    prices: dict[str, Decimal] = field(default_factory=dict)
    amount_step: Decimal = Decimal("0.00000001")
    price_tick: Decimal = Decimal("0.01")
    min_notional: Decimal = Decimal(5)


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
    journal: JournalSettings = JournalSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    notify: NotifySettings = NotifySettings()
    exchanges: dict[str, AccountSettings] = field(default_factory=dict)
