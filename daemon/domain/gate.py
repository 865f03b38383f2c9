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
from fks.domain.masking import MASK, Masker, secrets_in
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

# What an alert says for a human or of itself. In every other field of its own a secret is a mistake.
_FREE = ("id", "order_id", "bar_time", "comment")
_TRADED = tuple(name for name in Alert.__struct_fields__ if name not in _FREE)


class GateRules(Struct, frozen=True):
    """`secrets`: the common ones, then the strategies' own. `accounts`: names. `strategies`: by name; where
    there is none, an alert's strategy is a free label. `known` masks this configuration's secrets in what of
    an alert is written down or told.
    """

    secrets: tuple[WebhookSecret, ...]
    webhook: WebhookSettings
    accounts: frozenset[str]
    default_account: str
    strategies: Mapping[str, StrategySettings] = field(default_factory=dict)
    known: Masker = field(default_factory=Masker)


def gate_rules(settings: Settings, made: Callable[[], Secret], *others: Secret) -> GateRules:
    """The gate of this configuration. `made` gives the daemon's own secret, where none is configured.
    `others` are secrets beside it that must not be repeated either.
    """
    common = settings.webhook.secrets or (WebhookSecret(name="secret-1", secret=made()),)
    own = tuple(
        WebhookSecret(name=f"strategy-{name}", secret=one.secret, strategies=(name,))
        for name, one in settings.strategies.items()
        if one.secret is not None
    )
    secrets = (*secrets_in(settings), *secrets_in(common), *others)
    names = {*settings.exchanges, *settings.strategies, *settings.symbols, *settings.symbols.values()}
    return GateRules(
        common + own,
        settings.webhook,
        frozenset(settings.exchanges),
        settings.default_exchange,
        settings.strategies,
        Masker(secrets, names),
    )


Indexes = Callable[[str], SymbolIndex | None]
"""An account's symbols, or None while its markets are not loaded: then they are resolved later."""

Body = dialects.Message | Refusal
"""What was read of a body, or what is wrong with it: only an authentic sender is told."""


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
    """An authentic alert, checked and named. Raises Refusal.

    What is checked, told and stored is the alert without any of the daemon's secrets; only its names (key
    and digest) are of what was sent.
    """
    if isinstance(read, Refusal):
        raise rules.known.refusal(read)
    masked = replace(read, fields=rules.known.fields(read.fields))
    raw = masked.alert()
    sent = raw if masked.fields is read.fields else _beside_its_secret(read, raw)
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
    digest = ids.digest({**sent, "strategy": alert.strategy} if alert.strategy else sent)
    resend_keys: tuple[str, ...] = ()
    if moment is None:  # not every foreign format has a time
        key, resend_keys = ids.timeless_keys(digest, accounts, now)
    else:
        named = alert if sent is raw else _named_as(alert, parse_alert(sent))
        key = ids.alert_key(named, accounts, sender.message_id)
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


def _beside_its_secret(read: dialects.Message, raw: dialects.Raw) -> dialects.Raw:
    """The alert as it was sent; `raw` is without the secret that it holds. Raises Refusal where masking would
    change what is traded.
    """
    for name in _TRADED:
        if MASK in str(raw.get(name)):
            detail = f"the field {name!r} holds a secret of this daemon: send it as 'secret' or not at all"
            raise Refusal("alert.secret", detail, name)
    return read.alert()


def _named_as(alert: Alert, sent: Alert) -> Alert:
    """`alert` with the names that it was sent with: masked ones might merge two, or split a re-send."""
    return replace(alert, id=sent.id, order_id=sent.order_id, bar_time=sent.bar_time)


def _check_age(moment: float, alert: Alert, rules: WebhookSettings, now: float) -> float:
    """Until when it is good: `max_age_s` after its moment, or the sender's own `max_lag` if that is less."""
    max_age = min(rules.max_age_s, float(alert.max_lag or rules.max_age_s))
    age = now - moment
    if age > max_age:
        detail = f"the alert is {age:.1f} s old, the limit is {max_age:g} s (webhook.max_age_s, max_lag)"
        raise Refusal("gate.stale", detail, "timestamp")
    if -age > rules.max_future_s:
        limit = f"the limit is {rules.max_future_s:g} s (webhook.max_future_s)"
        check = "check the sender's clock and this machine's"
        detail = f"the alert is from {-age:.1f} s in the future, {limit}: {check}"
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
    if alert.exchange and alert.exchanges:
        raise Refusal("alert.schema", "give one of exchange and exchanges, not both", "exchanges")
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
