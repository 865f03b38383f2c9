"""No sequence of alerts passes a limit, whatever is filled."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fks.domain.alerts import Target
from fks.domain.decide import Planned, decide
from fks.domain.errors import Refusal
from fks.domain.messages import Exposure
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.settings import RiskSettings
from fks.domain.view import Rules
from makers import SWAP, dec, exposure, intent, market, view

alerts = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["buy", "buy", "sell", "close"]),
        "amount": st.integers(1, 40).map(lambda tenths: Decimal(tenths) / 10),
        "price": st.sampled_from([None, "96", "99.5", "104"]),
        "stop_loss": st.sampled_from([None, Target(percent=Decimal(9))]),
    }
)
happenings = st.sampled_from(["nothing", "part", "filled", "canceled", "rejected", "unknown"])
LIMITS = RiskSettings(max_position_notional=dec(500), max_order_notional=dec(300), max_open_orders=3)


@settings(max_examples=120)
@given(
    st.lists(st.tuples(alerts, st.lists(st.tuples(st.integers(0, 5), happenings), max_size=3)), max_size=14)
)
def test_no_sequence_of_alerts_passes_a_limit_whatever_is_filled(
    story: list[tuple[dict[str, Any], list[tuple[int, str]]]],
) -> None:
    known = exposure({SWAP: dec(0)})
    for number, (fields, events) in enumerate(story):
        limit: dict[str, Any] = (
            {"price": dec(fields["price"]), "order_type": OrderType.LIMIT} if fields["price"] else {}
        )
        wish = intent(
            fields["action"], id=f"a{number}", amount=fields["amount"], stop_loss=fields["stop_loss"], **limit
        )
        try:
            held = known.positions[SWAP].amount
            now = view(market(SWAP), exposure=known, position=held, price=dec(100))
            decision = decide(wish, now, Rules(limits=LIMITS))
        except Refusal:
            decision = Planned()
        opens = known.positions[SWAP].amount * (1 if fields["action"] == "buy" else -1) >= 0
        known = replace(known, live=(*known.live, *decision.orders))
        if opens and decision.orders and fields["action"] != "close":
            assert len([one for one in known.live if one.leg is Leg.ENTRY and not one.reduce_only]) <= 3
        check_limits(known)
        for which, what in events:
            known = happen(known, which, what)


def check_limits(known: Exposure) -> None:
    """In the worst case that all live entries of one side are filled and none of the other."""
    entries = [one for one in known.live if one.leg is Leg.ENTRY and not one.reduce_only]
    held = known.positions[SWAP].amount
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        worst = held + sign * sum(one.amount - one.filled for one in entries if one.side is side)
        assert abs(worst) * 100 <= 500 or abs(worst) <= abs(held)


def happen(known: Exposure, which: int, what: str) -> Exposure:
    """An exchange does something to one of the live orders."""
    if which >= len(known.live) or what == "nothing":
        return known
    one, rest = known.live[which], known.live[:which] + known.live[which + 1 :]
    if what in ("canceled", "rejected"):
        return replace(known, live=rest)
    if what == "unknown":
        return replace(known, live=(*rest, replace(one, state=State.UNKNOWN)))
    fill = one.amount - one.filled if what == "filled" else (one.amount - one.filled) / 2
    position = known.positions[SWAP]
    if one.reduce_only:
        fill = min(fill, max(Decimal(0), position.amount * (1 if one.side is Side.SELL else -1)))
    after = replace(position, amount=position.amount + (fill if one.side is Side.BUY else -fill))
    left = () if what == "filled" else (replace(one, state=State.PARTIAL, filled=one.filled + fill),)
    return replace(known, live=(*rest, *left), positions={SWAP: after})
