"""What is checked of an alert before it is accepted: who, shape, age, confidence, account, market.

Pure functions: the front calls them with bytes and a clock's reading and writes the result down. The
order of the checks is the order of this file.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from msgspec import Struct, field
from msgspec.structs import replace

from fks.domain import dialects, ids, sizing, strategy
from fks.domain.alerts import Alert, parse_alert
from fks.domain.auth import Sender, authenticate, check_scope
from fks.domain.errors import Refusal
from fks.domain.messages import NewAlert
from fks.domain.secret import Secret
from fks.domain.settings import (
    Settings,
    SizingSettings,
    StrategySettings,
    WebhookSecret,
    WebhookSettings,
)
from fks.domain.symbols import SymbolIndex


class GateRules(Struct, frozen=True):
    secrets: tuple[WebhookSecret, ...]
    webhook: WebhookSettings
    accounts: frozenset[str]
    default_account: str
    strategies: Mapping[str, StrategySettings] = field(default_factory=dict)


def gate_rules(settings: Settings, made: Callable[[], Secret]) -> GateRules:
    """The gate of this configuration. `made` gives the daemon's own secret, where none is configured."""
    common = settings.webhook.secrets or (WebhookSecret(name="secret-1", secret=made()),)
    own = tuple(
        WebhookSecret(name=f"strategy-{name}", secret=one.secret, strategies=(name,))
        for name, one in settings.strategies.items()
        if one.secret is not None
    )
    return GateRules(
        common + own,
        settings.webhook,
        frozenset(settings.exchanges),
        settings.default_exchange,
        settings.strategies,
    )


Indexes = Callable[[str], SymbolIndex | None]
"""An account's symbols, or None while its markets are not loaded: then they are resolved later."""

Body = dialects.Message | Refusal
"""What was read of a body, or what is wrong with it: only an authentic sender is told."""


def admit(
    headers: Mapping[str, str], body: bytes, rules: GateRules, indexes: Indexes, now: float
) -> NewAlert:
    """The alert in `body`, ready for the ledger. Raises Denied, or Refusal naming the field at fault."""
    sender, read = identify(headers, body, rules.secrets, now)
    return validate(read, sender, rules, indexes, now)


def identify(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[WebhookSecret], now: float
) -> tuple[Sender, Body]:
    """Who sent it, and the body without its secret. Raises Denied."""
    read: Body
    try:
        read = dialects.recognise(body)
        given = read.secret
    except Refusal as refusal:
        read, given = refusal, dialects.secret_in(body)
    return authenticate(headers, body, given.reveal() if given else None, secrets, now), read


def validate(read: Body, sender: Sender, rules: GateRules, indexes: Indexes, now: float) -> NewAlert:
    """An authentic alert, checked and named. Raises Refusal."""
    if isinstance(read, Refusal):
        raise read
    raw = read.alert()
    alert = parse_alert(raw)
    if alert.strategy is None and len(sender.strategies) == 1:
        alert = replace(alert, strategy=sender.strategies[0])  # the only one that its secret may trade
    moment = alert.timestamp if alert.timestamp is not None else sender.timestamp
    if moment is None and read.dialect == dialects.NATIVE:
        raise Refusal("alert.missing", "the field 'timestamp' is required", "timestamp")
    good_until = _check_age(now if moment is None else moment, alert, rules.webhook, now)
    _check_confidence(alert, rules.webhook)
    strategy.change(alert)
    sizing.effective_rules(alert, SizingSettings())  # whatever it is laid over, its own words are checked
    accounts = _accounts(alert, rules)
    check_scope(sender, accounts, alert.strategy)
    for account in accounts:
        index = indexes(account)
        if index is not None:
            index.resolve(alert.symbol)
    # Also what its secret adds: two strategies with the same words and id must not pass for each other.
    digest = ids.digest({**raw, "strategy": alert.strategy} if alert.strategy else raw)
    resend_keys: tuple[str, ...] = ()
    if moment is None:  # not every foreign format has a time
        key, resend_keys = ids.timeless_keys(digest, accounts, now)
    else:
        key = ids.alert_key(alert, accounts, sender.message_id)
    return NewAlert(
        id=ids.alert_id(key),
        key=key,
        digest=digest,
        source=sender.name,
        alert=alert,
        body=raw,
        accounts=accounts,
        received_at=now,
        good_until=good_until,
        resend_keys=resend_keys,
    )


def _check_age(moment: float, alert: Alert, rules: WebhookSettings, now: float) -> float:
    """Until when it is good: `max_age_s` after its moment, or the sender's own `max_lag` if that is less."""
    max_age = min(rules.max_age_s, float(alert.max_lag or rules.max_age_s))
    age = now - moment
    if age > max_age:
        detail = f"the alert is {age:.0f} s old, the limit is {max_age:.0f} s (webhook.max_age_s, max_lag)"
        raise Refusal("gate.stale", detail, "timestamp")
    if -age > rules.max_future_s:
        detail = f"the alert is from {-age:.0f} s in the future: check the sender's clock and this machine's"
        raise Refusal("gate.future", detail, "timestamp")
    return moment + max_age


def _check_confidence(alert: Alert, rules: WebhookSettings) -> None:
    if rules.min_confidence <= 0:
        return
    if alert.confidence is None:
        detail = "the field 'confidence' is required while webhook.min_confidence is above 0"
        raise Refusal("alert.missing", detail, "confidence")
    if alert.confidence < rules.min_confidence:
        detail = f"confidence {alert.confidence} is below the minimum {rules.min_confidence}"
        raise Refusal("gate.confidence", detail, "confidence")


def _accounts(alert: Alert, rules: GateRules) -> tuple[str, ...]:
    """Where it goes: what it names, within what its strategy may; else its strategy's; else the default."""
    own = _strategy(alert, rules)
    named = alert.exchanges or ((alert.exchange,) if alert.exchange else ())
    field_ = "exchanges" if alert.exchanges else "exchange"
    for account in named:
        if account not in rules.accounts:
            known = ", ".join(sorted(rules.accounts))
            raise Refusal(
                "alert.account", f"there is no account {account[:60]!r}; configured: {known}", field_
            )
        if own and own.exchanges and account not in own.exchanges:
            allowed = ", ".join(own.exchanges)
            detail = f"the strategy {alert.strategy!r} trades on {allowed}, not on {account!r}"
            raise Refusal("alert.account", detail, field_)
    return tuple(dict.fromkeys(named or (own.exchanges if own else ()) or (rules.default_account,)))


def _strategy(alert: Alert, rules: GateRules) -> StrategySettings | None:
    """Its settings. Where none are configured, a strategy's name is a free label."""
    if alert.strategy is None or not rules.strategies:
        return None
    if (found := rules.strategies.get(alert.strategy)) is not None:
        return found
    close = get_close_matches(alert.strategy, rules.strategies, n=1)
    advice = f"did you mean {close[0]}?" if close else f"configured: {', '.join(rules.strategies)}"
    raise Refusal("alert.strategy", f"there is no strategy {alert.strategy[:60]!r} ({advice})", "strategy")
