"""What would this alert do, with the present configuration and book? Sends and stores nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fks.domain import gate, views
from fks.domain.alerts import SECRET_FIELD, parse_json
from fks.domain.auth import Sender
from fks.domain.decide import decide
from fks.domain.errors import Refusal
from fks.domain.messages import Intent, NewAlert
from fks.domain.risk import effective_trading
from fks.domain.symbols import SymbolIndex
from fks.ledger import Journal
from fks.venues.outlook import Outlook


@dataclass(frozen=True, slots=True)
class Linter:
    """Runs an alert through the same gate, sizing and risk as a real one."""

    journal: Journal
    rules: gate.GateRules
    outlooks: Mapping[str, Outlook]
    wall: Callable[[], float]

    async def __call__(self, body: bytes) -> dict[str, Any]:
        """`{"accepted", "refusal", "alert", "accounts": [...]}`; each account has orders or a refusal."""
        try:
            raw = parse_json(body)
            raw.pop(SECRET_FIELD, None)
            new = gate.validate(raw, Sender("lint"), self.rules, self._index, self.wall())
        except Refusal as refusal:
            return {"accepted": False, "refusal": _view(refusal), "accounts": []}
        known = await self.journal.read(lambda ledger: ledger.alert_state(new.id))
        accounts = [await self._account(new, account) for account in new.accounts]
        return {
            "accepted": all("refusal" not in one for one in accounts),
            "duplicate_of": new.id if known is not None else None,
            "symbol": new.alert.symbol,
            "action": new.alert.action.value,
            "accounts": accounts,
        }

    def _index(self, account: str) -> SymbolIndex | None:
        return self.outlooks[account].account.index

    async def _account(self, new: NewAlert, name: str) -> dict[str, Any]:
        try:
            return {"account": name, **await self._decide(new, name)}
        except Refusal as refusal:
            return {"account": name, "refusal": _view(refusal)}

    async def _decide(self, new: NewAlert, name: str) -> dict[str, Any]:
        outlook, now = self.outlooks[name], self.wall()
        index = outlook.account.index
        if index is None:
            raise Refusal("account.starting", "the account's markets are not loaded yet: try again")
        exposure, trading = await self.journal.read(
            lambda ledger: (ledger.exposure(name, now), ledger.trading())
        )
        market = index.resolve(new.alert.symbol)
        view = await outlook.view(
            new.alert,
            market,
            exposure,
            effective_trading(trading, name),
            await outlook.balance([new.alert]),
        )
        if view is None:
            raise Refusal("account.no_answer", "the exchange does not tell price or balance now: try again")
        intent = Intent(
            alert_id=new.id, account=name, alert=new.alert, received_at=now, good_until=new.good_until
        )
        decision = decide(intent, view, outlook.size, outlook.limits)
        orders = [views.order_view(order) for order in decision.orders]
        return {"orders": orders, "cancels": list(decision.cancel)}


def _view(refusal: Refusal) -> dict[str, Any]:
    return {"code": refusal.code, "detail": refusal.detail, "field": refusal.field}
