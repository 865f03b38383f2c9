"""What secrets, strategies and accounts demand of each other: who may trade what, and where."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from fks.domain.dotted import join
from fks.domain.settings import Settings, SizingSettings, StrategySettings, WebhookSecret
from fks.domain.sizing import laid_over
from fks.infra.config_decode import Decoder, nearest

SOON_DAYS = 14.0  # before a secret's end `fks check` and the start of the daemon warn of it


def named(secrets: Sequence[WebhookSecret]) -> tuple[WebhookSecret, ...]:
    """Those without a name are secret-1, secret-2, ... by their place."""
    return tuple(replace(one, name=one.name or f"secret-{number}") for number, one in enumerate(secrets, 1))


def check_senders(settings: Settings, decoder: Decoder) -> None:
    """Reports every mistake that no key shows alone."""
    for name, strategy in settings.strategies.items():
        _check_strategy(join("strategies", name), strategy, settings, decoder)
    for at, one in enumerate(settings.webhook.secrets):
        path = f"webhook.secrets[{at}]"
        if not one.secret and not _failed(decoder, path, "secret"):
            decoder.report(f"{path}.secret", "is missing (set it)")
        _known(f"{path}.accounts", one.accounts, settings.exchanges, "an account", decoder)
        _known(f"{path}.strategies", one.strategies, settings.strategies, "a strategy", decoder)
        _check_reach(path, one, settings, decoder)
    _check_distinct(settings, decoder)
    _check_sizing("sizing", settings.sizing, decoder)
    for name, account in settings.exchanges.items():
        if account.sizing is not None:
            path = join(join("exchanges", name), "sizing")
            _check_sizing(path, laid_over(settings.sizing, account.sizing), decoder)


def _check_sizing(path: str, sizing: SizingSettings, decoder: Decoder) -> None:
    """A method needs its number, once for each table."""
    for method, key in (("fixed_amount", "amount"), ("fixed_notional", "notional")):
        if sizing.method == method and not getattr(sizing, key) and f"{path}.{key}" not in decoder.failed:
            decoder.report(f"{path}.{key}", f"must be above 0 for the method {method} (set it)")


def _check_strategy(path: str, strategy: StrategySettings, settings: Settings, decoder: Decoder) -> None:
    _known(f"{path}.exchanges", strategy.exchanges, settings.exchanges, "an account", decoder)
    if strategy.sizing is None:
        return
    for account in strategy.exchanges or settings.exchanges:
        if (own := settings.exchanges.get(account)) is not None:
            beneath = laid_over(settings.sizing, own.sizing)
            _check_sizing(f"{path}.sizing", laid_over(beneath, strategy.sizing), decoder)


def _known(path: str, names: Iterable[str], known: Mapping[str, object], what: str, decoder: Decoder) -> None:
    failed = any(
        one == table or one.startswith(f"{table}.")
        for one in decoder.failed
        for table in ("exchanges", "strategies")
    )
    if failed:
        return  # what failed may be what is missed here
    for at, name in enumerate(names):
        if name not in known:
            close = nearest(name, known)
            advice = f"did you mean {close}?" if close else f"configured: {', '.join(known) or 'none'}"
            decoder.report(f"{path}[{at}]", f"names {what} that there is not ({advice})")


def _check_reach(path: str, one: WebhookSecret, settings: Settings, decoder: Decoder) -> None:
    """A secret that may trade a strategy, but none of its accounts, could never send an alert."""
    for name in one.strategies:
        strategy = settings.strategies.get(name)
        if strategy is None or not strategy.exchanges or not one.accounts:
            continue
        if not set(one.accounts) & set(strategy.exchanges):
            where = ", ".join(strategy.exchanges)
            decoder.report(
                f"{path}.accounts", f"holds none of the accounts of the strategy {name} (add one of {where})"
            )


def _check_distinct(settings: Settings, decoder: Decoder) -> None:
    """One value with two names would have the rights of whichever comes first."""
    paths: dict[str, str] = {}
    values: dict[str, str] = {}
    for path, one in _all_secrets(settings):
        if not one.secret:
            continue
        if (other := paths.setdefault(one.name, path)) != path:
            decoder.report(path, f"has the same name as {other} (name one of them anew)")
        if (other := values.setdefault(one.secret.reveal(), path)) != path:
            decoder.report(path, f"is the same secret as {other} (give each its own)")


def _all_secrets(settings: Settings) -> Iterator[tuple[str, WebhookSecret]]:
    for at, one in enumerate(settings.webhook.secrets):
        yield f"webhook.secrets[{at}]", one
    for name, strategy in settings.strategies.items():
        if strategy.secret is not None:
            path = join(join("strategies", name), "secret")
            yield path, WebhookSecret(name=f"strategy-{name}", secret=strategy.secret)


def _failed(decoder: Decoder, path: str, key: str) -> bool:
    return path in decoder.failed or f"{path}.{key}" in decoder.failed


def secret_warnings(settings: Settings, now: float) -> list[str]:
    """Secrets that are weak, expired or soon expiring. `now`: UTC epoch seconds."""
    found = []
    for path, one in _all_secrets(settings):
        if len(one.secret.reveal()) < 16:
            found.append(f"{path}: shorter than 16 characters, so it can be guessed")
        if one.expires is None:
            continue
        days = (one.expires - now) / 86_400
        if days > SOON_DAYS:
            continue
        moment = f"{datetime.fromtimestamp(one.expires, UTC):%Y-%m-%d %H:%M} UTC"
        if days <= 0:
            found.append(
                f"{path}: {one.name} expired at {moment}: its alerts are refused (remove or renew it)"
            )
        else:
            found.append(f"{path}: {one.name} expires at {moment}, in {days:.0f} days (add its successor)")
    return found
