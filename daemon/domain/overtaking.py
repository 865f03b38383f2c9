"""What need not wait its turn: a way out, behind alerts of its market that cannot be decided yet. Pure.

They wait for a price, a balance, or the end of a doubt. A close needs none of these; so it overtakes them,
and ends them: who buys and then closes wants nothing that comes alive behind the close.
"""

from collections.abc import Sequence

from fks.domain import strategy
from fks.domain.alerts import Action, Alert
from fks.domain.decide import may_exit
from fks.domain.errors import Refusal
from fks.domain.messages import Intent

_OPENS = {Action.BUY: "long", Action.SELL: "short"}


def passed(alert: Alert, waiting: Sequence[Intent], *, own: bool, spot: bool) -> list[Intent] | None:
    """Those `waiting` in its market that it overtakes, by what it is about (`own`: its strategy alone); None:
    it waits behind them. A close never overtakes another one, and what ends only orders, or a part, no other
    way out: that would be lost with them. Raises Refusal.
    """
    if not waiting:
        return []
    if not strategy.closes(alert):
        return None
    before = [one for one in waiting if not own or one.alert.strategy == alert.strategy]
    whole = alert.action is not Action.CANCEL and strategy.ends_all(alert)
    if any(strategy.closes(one.alert) or (not whole and _leaves(one.alert, spot=spot)) for one in before):
        return None
    return before


def ended(closing: Alert, overtaken: Sequence[Intent], *, closes: bool) -> list[Intent]:
    """Those that end with it. Where it `closes` a position, all: they were meant for what is no more. Else
    the entries of its side.
    """
    side = None if closes else closing.position_side
    return [one for one in overtaken if side in (None, _OPENS[one.alert.action])]


def refusal(closing: Intent) -> Refusal:
    """Why they end."""
    what = "cancel" if closing.alert.action is Action.CANCEL else "close"
    detail = f"the later {what} {closing.alert_id} came before this could be decided"
    return Refusal("gate.overtaken", detail)


def _leaves(alert: Alert, *, spot: bool) -> bool:
    return may_exit(alert) or (spot and alert.action is Action.SELL)
