"""Which values make sense: one rule a key, each a pure function from a value to what is wrong with it.

A rule never quotes the value: it may be a secret in the wrong place.
"""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from msgspec import Struct

from fks.domain import candles, daily, risk_hours
from fks.domain.limits import BreakerRules
from fks.domain.notices import NAMES
from fks.domain.secret import Secret
from fks.domain.settings import (
    AccountRate,
    AccountSettings,
    AuditSettings,
    JournalSettings,
    KellyChanges,
    KellySettings,
    Limits,
    NotifySettings,
    RiskSettings,
    ServerSettings,
    Settings,
    SizingChanges,
    SizingSettings,
    Steps,
    StrategyLimits,
    StrategySettings,
    WebhookRate,
    WebhookSecret,
    WebhookSettings,
)

Rule = Callable[[Any], str | None]

ALLOW_PRESETS = ("tradingview",)


def at_least(low: float) -> Rule:
    return lambda value: None if value >= low else f"must be at least {low} (raise it)"


def above_zero(value: Any) -> str | None:
    return None if value > 0 else "must be above 0 (raise it)"


def share(value: Any) -> str | None:
    """0 to 1. The usual mistake is to write percent."""
    return None if 0 <= value <= 1 else "must be between 0 and 1 (a share of 1, not percent: 0.05 is 5 %)"


def signed_share(value: Any) -> str | None:
    """Below zero it is received: a maker's rebate, funding of longs."""
    return share(abs(value))


def positive_share(value: Any) -> str | None:
    return share(value) if value != 0 else "must be above 0 (raise it)"


def not_empty(value: Any) -> str | None:
    return None if value else "is empty (write a value or remove the key)"


def always(_value: Any) -> None:
    """Any value will do by itself: `config_senders` checks it with the others."""


def matches(pattern: str, meaning: str) -> Rule:
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else f"is not {meaning}"


account_name = matches(r"[A-Za-z0-9_-]{1,64}", "an account name (use letters, digits, _ and -)")
word = matches(r"[A-Za-z0-9_.-]{1,64}", "a name (use letters, digits, _, . and -)")
strategy_name = matches(
    r"(?! )[^\x00-\x1f\x7f]{1,64}(?<! )", "a strategy's name (1 to 64 characters, no space at its ends)"
)
market_symbol = matches(r"[^\s/:]+/[^\s/:]+(:[^\s/:]+)?", "a market (write BASE/QUOTE or BASE/QUOTE:SETTLE)")
currency = matches(r"[^\s/:]+", "a currency (write its code, such as USDT)")
ticker = matches(r"\S+", "a ticker (write it as it stands in the alert, such as BTCUSD)")


def timeframe(value: str) -> str | None:
    try:
        candles.seconds(value)
    except ValueError:
        return "is not a timeframe (write 1m, 1h, 1d, ...)"
    return None


def trading_hours(value: str) -> str | None:
    try:
        risk_hours.parse(value)
    except ValueError as error:
        return str(error)
    return None


def network(value: str) -> str | None:
    """A CIDR or one address."""
    try:
        ip_network(value)
    except ValueError:
        try:
            right = ip_network(value, strict=False)
        except ValueError:
            return "is not a network (write 10.0.0.0/8 or one address)"
        return f"is an address within a network (write {right})"
    return None


def source(value: str) -> str | None:
    """A network or the name of a preset."""
    if value in ALLOW_PRESETS:
        return None
    problem = network(value)
    return f"{problem[:-1]}, or {ALLOW_PRESETS[0]})" if problem else None


_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})")


def listen_address(value: str) -> str | None:
    """`host:port`, `[v6]:port` or `unix:/path`; port 0 is any free one."""
    form = "(write host:port, [ipv6]:port or unix:/path)"
    if value.startswith("unix:"):
        return None if value.startswith("unix:/") and len(value) > 6 else f"is not an absolute path {form}"
    parts = _LISTEN.fullmatch(value)
    if parts is None:
        return f"is not an address {form}"
    if parts["v6"] is not None:
        try:
            ip_address(parts["v6"])
        except ValueError:
            return f"is not an address {form}"
    return None if int(parts["port"]) <= 65535 else "has a port above 65535 (choose a lower one)"


def base_url(value: str) -> str | None:
    """`scheme://host:port` and nothing after it; empty is the exchange's own."""
    if not value:
        return None
    form = "(write http://host:port or https://host:port)"
    try:
        url = urlsplit(value)
        port_ok = url.port is None or url.port > 0
    except ValueError:
        return f"is not an address {form}"
    if url.scheme not in ("http", "https"):
        return f"is neither http nor https {form}"
    if (
        not url.hostname
        or not port_ok
        or "@" in url.netloc
        or url.path.strip("/")
        or url.query
        or url.fragment
    ):
        return f"is more or less than an address {form}"
    return None


def proxy_url(value: Secret) -> str | None:
    """`scheme://host:port` with or without `user:password@`; empty is a direct connection."""
    if not value:
        return None
    form = "(write http://, https:// or socks5:// and host:port, with user:password@ before it if needed)"
    try:
        url = urlsplit(value.reveal())
        known = url.scheme in ("http", "https", "socks5") and url.hostname and url.port != 0
    except ValueError:
        return f"is not an address {form}"
    if not known:
        return f"is not the address of a proxy {form}"
    if url.path.strip("/") or url.query or url.fragment:
        return f"is more than an address {form}"
    return None


def journal_url(value: str) -> str | None:
    form = "(write sqlite:NAME, relative to the state directory, or sqlite:/absolute/path)"
    if value.startswith(("postgresql:", "postgres:")):
        return f"PostgreSQL is not supported by this version {form}"
    name = value.removeprefix("sqlite:")
    # "sqlite://..." means different things to different programs; ":memory:" would forget orders.
    if not value.startswith("sqlite:") or not name or name.startswith((":", "//")) or name.endswith("/"):
        return f"is not a journal {form}"
    return None


def notification(value: str) -> str | None:
    if value in NAMES:
        return None
    close = get_close_matches(value.lower(), NAMES, n=1)
    advice = f"did you mean {close[0]}?" if close else f"one of {', '.join(NAMES)}"
    return f"is not a notification ({advice})"


def time_of_day(value: str) -> str | None:
    """`HH:MM`; empty is never."""
    try:
        if value:
            daily.at_time(value)
    except ValueError:
        return "is not a time of day (write HH:MM, such as 08:00)"
    return None


def zone(value: str) -> str | None:
    """Empty is UTC."""
    try:
        if value:
            ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        return "is not a time zone of this machine (write Europe/Berlin, or nothing for UTC)"
    return None


def _all(cls: type[Struct], rule: Rule, *names: str) -> dict[tuple[type[Struct], str], Rule]:
    return {(cls, name): rule for name in names}


def _every(classes: Iterable[type[Struct]], rule: Rule, *names: str) -> dict[tuple[type[Struct], str], Rule]:
    return {(cls, name): rule for cls in classes for name in names}


_SIZINGS = (SizingSettings, SizingChanges)
_KELLYS = (KellySettings, KellyChanges)
_LIMITS = (Limits, StrategyLimits, RiskSettings)

# By struct and field. A list's rule is for each of its elements, a table's for each of its values.
VALUES: dict[tuple[type[Struct], str], Rule] = {
    **_all(Settings, at_least(0), "retry_attempts", "retry_delay"),
    **_all(Settings, above_zero, "timeout"),
    **_all(Settings, market_symbol, "symbols"),
    **_all(ServerSettings, listen_address, "listen", "admin"),
    **_all(ServerSettings, network, "trusted_proxies"),
    **_all(ServerSettings, at_least(1), "max_connections"),
    **_all(ServerSettings, at_least(0), "drain_s"),
    **_all(ServerSettings, not_empty, "admin_token"),
    **_all(WebhookSettings, always, "secrets"),
    **_all(WebhookSecret, not_empty, "secret"),
    **_all(WebhookSecret, word, "name"),
    **_all(WebhookSecret, always, "accounts", "strategies"),
    **_all(WebhookSettings, source, "allow"),
    **_all(WebhookSettings, above_zero, "max_age_s"),
    **_all(WebhookSettings, at_least(0), "max_future_s", "wait_s"),
    **_all(WebhookSettings, share, "min_confidence"),
    **_all(WebhookRate, at_least(1), "burst"),
    **_all(WebhookRate, above_zero, "per_minute"),
    **_every(_SIZINGS, positive_share, "pct", "risk_pct"),
    **_every(_SIZINGS, at_least(0), "amount", "notional"),
    **_every(_SIZINGS, always, "target"),
    **_every(_SIZINGS, at_least(1), "atr_period"),
    **_every(_SIZINGS, timeframe, "atr_timeframe"),
    **_every(_SIZINGS, above_zero, "atr_multiplier"),
    **_every(_KELLYS, share, "win_rate"),
    **_every(_KELLYS, above_zero, "payoff"),
    **_every(_KELLYS, at_least(1), "min_trades"),
    **_every(_KELLYS, positive_share, "fraction"),
    **_every(_LIMITS, at_least(0), "max_order_notional", "max_position_notional", "max_open_orders"),
    **_every(_LIMITS, at_least(0), "max_orders_per_minute", "max_daily_loss", "max_price_age_s"),
    **_every(_LIMITS, at_least(0), "max_leverage", "cooldown_s"),
    **_every(_LIMITS, share, "max_price_deviation", "max_slippage"),
    **_every(_LIMITS, trading_hours, "hours"),
    **_every((StrategyLimits, RiskSettings), market_symbol, "allowed", "denied"),
    **_all(RiskSettings, at_least(0), "max_consecutive_losses", "max_unknown_s", "unprotected_s"),
    **_all(RiskSettings, share, "max_drawdown"),
    **_all(StrategySettings, always, "exchanges"),
    **_all(StrategySettings, not_empty, "secret"),
    **_all(JournalSettings, journal_url, "url"),
    **_all(JournalSettings, at_least(0), "retention_days"),
    **_all(AuditSettings, not_empty, "path"),
    **_all(NotifySettings, not_empty, "urls"),
    **_all(NotifySettings, notification, "on"),
    **_all(NotifySettings, at_least(0), "digest_s"),
    **_all(NotifySettings, above_zero, "per_minute"),
    **_all(NotifySettings, time_of_day, "daily_at"),
    **_all(NotifySettings, zone, "timezone"),
    **_all(AccountRate, share, "reserve"),
    **_all(BreakerRules, above_zero, "window_s", "min_calls", "failure_threshold", "slow_s", "cooldown_s"),
    **_all(BreakerRules, above_zero, "probes"),
    **_all(AccountSettings, base_url, "base_url"),
    **_all(AccountSettings, proxy_url, "proxy"),
    **_all(AccountSettings, market_symbol, "symbols"),
    **_all(AccountSettings, at_least(0), "balance", "slippage_bps", "min_notional", "depth", "max_leverage"),
    **_all(AccountSettings, at_least(0), "leverage"),
    **_all(AccountSettings, share, "fee", "taker_fee", "maintenance"),
    **_all(AccountSettings, signed_share, "maker_fee", "funding_rate"),
    **_all(AccountSettings, above_zero, "prices", "amount_step", "price_tick", "funding_h"),
    **_all(Steps, above_zero, "amount_step", "price_tick"),
    **_all(Steps, at_least(0), "min_notional"),
}

# The keys of tables whose keys are the user's own words.
KEYS: dict[tuple[type[Struct], str], Rule] = {
    (Settings, "symbols"): ticker,
    (Settings, "exchanges"): account_name,
    (Settings, "strategies"): strategy_name,
    (RiskSettings, "symbols"): market_symbol,
    (AccountSettings, "balance"): currency,
    (AccountSettings, "prices"): market_symbol,
    (AccountSettings, "steps"): market_symbol,
}


def unreasonable(settings: Settings) -> list[str]:
    """What is allowed but probably not meant; one line each, beginning with the key."""
    hook = settings.webhook
    found = []
    if hook.max_age_s < 27:
        # TradingView re-sends up to three times, 5 s apart, and waits 3 s for each reply.
        found.append("webhook.max_age_s: below 27 s TradingView's last re-send is refused as stale")
    if hook.wait_s >= 3:
        found.append("webhook.wait_s: TradingView gives up after 3 s and does not send again")
    return found
