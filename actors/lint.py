"""What would this alert do, with the present configuration and book? Sends and stores nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fks.domain import gate, preview, views
from fks.domain.decide import decide, noticed
from fks.domain.errors import Refusal
from fks.domain.messages import Intent, NewAlert
from fks.domain.risk import effective_trading
from fks.domain.symbols import SymbolIndex
from fks.ledger import Journal
from fks.venues.outlook import Outlook


@dataclass(slots=True)
class Linter:
    """Runs an alert through the gate, sizing and limits that a real one meets.

    It does not ask whether its account has failed, nor what ended orders may yet turn out to have filled.
    """

    journal: Journal
    rules: gate.GateRules
    outlook: Callable[[str], Outlook | None]  # of an account; None while it is being taken up
    wall: Callable[[], float]

    def use(self, rules: gate.GateRules) -> None:
        self.rules = rules

    async def __call__(self, body: bytes) -> dict[str, Any]:
        """`domain.preview`'s report, and each account's orders or refusal."""
        report, new = preview.read(body, self.rules, self._index, self.wall())
        if new is None:
            return report
        known = await self.journal.read(lambda ledger: ledger.alert_state(new.id))
        accounts = [await self._account(new, account) for account in new.accounts]
        report |= {
            "accepted": report["accepted"] and all("refusal" not in one for one in accounts),
            "duplicate_of": new.id if known is not None else None,
            "accounts": accounts,
        }
        return report

    def _index(self, account: str) -> SymbolIndex | None:
        outlook = self.outlook(account)
        return outlook.account.index if outlook else None

    async def _account(self, new: NewAlert, name: str) -> dict[str, Any]:
        try:
            return {"account": name, **await self._decide(new, name)}
        except Refusal as refusal:
            return {"account": name, "refusal": preview.refusal_view(refusal)}

    async def _decide(self, new: NewAlert, name: str) -> dict[str, Any]:
        outlook, now = self.outlook(name), self.wall()
        index = outlook.account.index if outlook else None
        if outlook is None or index is None:
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
        decision = decide(intent, view, outlook.rules(new.alert))
        orders = [views.order_view(order) for order in decision.orders]
        withheld = preview.refusal_view(decision.withheld) if decision.withheld else None
        return {
            "orders": orders,
            "cancels": list(decision.cancel),
            "drift": noticed(intent, view),
            "withheld": withheld,  # why a reversal only closes
        }
