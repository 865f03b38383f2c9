"""What an API key may do, where the exchange tells. ccxt has no unified question for it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fks.domain.diagnosis import KeyRights
from fks.venues.ccxt_dialects import family_of
from fks.venues.ccxt_session import Session

Raw = Mapping[str, Any]


class _Question(NamedTuple):
    method: str  # of ccxt's implicit API
    read: Callable[[Raw, str], KeyRights]


async def key_rights(session: Session, market: str) -> KeyRights:
    """The rights in that kind of market; all unknown where nobody can be asked. Raises Transient."""
    question = _QUESTIONS.get(family_of(type(session.exchange)))
    if question is None:
        return KeyRights()
    return question.read(await session.ask(question.method), market)


def _binance(raw: Raw, market: str) -> KeyRights:
    """https://developers.binance.com/docs/wallet/account/api-key-permission"""
    return KeyRights(
        trade=raw.get("enableSpotAndMarginTrading" if market == "spot" else "enableFutures"),
        withdraw=raw.get("enableWithdrawals"),
        address_bound=raw.get("ipRestrict"),
    )


def _bybit(raw: Raw, market: str) -> KeyRights:
    """https://bybit-exchange.github.io/docs/v5/user/apikey-info"""
    key = raw.get("result") or {}
    granted = key.get("permissions")
    if not granted:
        return KeyRights()
    writes = str(key.get("readOnly")) == "0"
    kinds = ("Spot",) if market == "spot" else ("ContractTrade", "Derivatives")
    return KeyRights(
        trade=writes and any(granted.get(kind) for kind in kinds),
        withdraw=writes and "Withdraw" in (granted.get("Wallet") or ()),
        address_bound="*" not in key.get("ips", ()) and bool(key.get("ips")),
    )


def _okx(raw: Raw, _market: str) -> KeyRights:
    """https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-account-configuration"""
    account: Raw = next(iter(raw.get("data") or ()), {})
    granted = str(account.get("perm") or "").split(",")
    if granted == [""]:
        return KeyRights()
    return KeyRights(
        trade="trade" in granted, withdraw="withdraw" in granted, address_bound=bool(account.get("ip"))
    )


_QUESTIONS = {
    "binance": _Question("sapiGetAccountApiRestrictions", _binance),
    "bybit": _Question("privateGetV5UserQueryApi", _bybit),
    "okx": _Question("privateGetAccountConfig", _okx),
}
