"""What is checked of an alert before it is accepted: who, shape, age, confidence, account, market.

Pure functions: the front calls them with bytes and a clock's reading and writes the result down. The
order of the checks is the order of this file.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from fks.domain import ids
from fks.domain.alerts import SECRET_FIELD, Alert, parse_alert, parse_json
from fks.domain.auth import Sender, authenticate
from fks.domain.errors import FksError, Refusal
from fks.domain.messages import NewAlert
from fks.domain.secret import Secret
from fks.domain.settings import WebhookSettings
from fks.domain.symbols import SymbolIndex


class Denied(FksError):
    """No valid authentication; deliberately without a reason."""


class GateRules(Struct, frozen=True):
    secrets: tuple[Secret, ...]
    webhook: WebhookSettings
    accounts: frozenset[str]
    default_account: str


Indexes = Callable[[str], SymbolIndex | None]
"""An account's symbols, or None while its markets are not loaded: then they are resolved later."""


def admit(
    headers: Mapping[str, str], body: bytes, rules: GateRules, indexes: Indexes, now: float
) -> NewAlert:
    """The alert in `body`, ready for the ledger. Raises Denied, or Refusal naming the field at fault."""
    sender, raw = identify(headers, body, rules.secrets, now)
    return validate(raw, sender, rules, indexes, now)


def identify(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[Secret], now: float
) -> tuple[Sender, dict[str, Any]]:
    """Who sent it, and the body without its secret. A stranger is not told what is wrong with his body."""
    broken: Refusal | None = None
    raw: dict[str, Any] = {}
    try:
        raw = parse_json(body)
    except Refusal as refusal:
        broken = refusal
    given = raw.pop(SECRET_FIELD, None)
    sender = authenticate(headers, body, given if isinstance(given, str) else None, secrets, now)
    if sender is None:
        raise Denied("authentication failed")
    if broken is not None:
        raise broken
    return sender, raw


def validate(raw: dict[str, Any], sender: Sender, rules: GateRules, indexes: Indexes, now: float) -> NewAlert:
    """An authentic alert, checked and named. Raises Refusal."""
    _check_placeholders(raw)
    alert = parse_alert(raw)
    moment = _check_age(alert, sender, rules.webhook, now)
    _check_confidence(alert, rules.webhook)
    accounts = _accounts(alert, rules)
    for account in accounts:
        index = indexes(account)
        if index is not None:
            index.resolve(alert.symbol)
    key = ids.alert_key(alert, accounts, sender.message_id)
    return NewAlert(
        id=ids.alert_id(key),
        key=key,
        digest=ids.digest(raw),
        source=sender.name,
        alert=alert,
        body=raw,
        accounts=accounts,
        received_at=now,
        good_until=moment + rules.webhook.max_age_s,
    )


def _check_placeholders(raw: dict[str, Any]) -> None:
    for name, value in raw.items():
        if name in Alert.__struct_fields__ and isinstance(value, str) and "{{" in value:
            raise Refusal(
                "alert.placeholder",
                f"{name} holds {value[:60]!r}: the sender did not fill in this placeholder "
                "(TradingView knows {{strategy...}} only in alerts of a strategy)",
                name,
            )


def _check_age(alert: Alert, sender: Sender, rules: WebhookSettings, now: float) -> float:
    moment = alert.timestamp if alert.timestamp is not None else sender.timestamp
    if moment is None:
        raise Refusal("alert.missing", "the field 'timestamp' is required", "timestamp")
    age = now - moment
    if age > rules.max_age_s:
        detail = f"the alert is {age:.0f} s old, the limit is {rules.max_age_s:.0f} s (webhook.max_age_s)"
        raise Refusal("gate.stale", detail, "timestamp")
    if -age > rules.max_future_s:
        detail = f"the alert is from {-age:.0f} s in the future: check the sender's clock and this machine's"
        raise Refusal("gate.future", detail, "timestamp")
    return moment


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
    named = alert.exchanges or (alert.exchange or rules.default_account,)
    field = "exchanges" if alert.exchanges else "exchange"
    for account in named:
        if account not in rules.accounts:
            known = ", ".join(sorted(rules.accounts))
            raise Refusal(
                "alert.account", f"there is no account {account[:60]!r}; configured: {known}", field
            )
    return tuple(dict.fromkeys(named))
