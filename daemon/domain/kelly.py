"""Kelly's edge from one's own closed trades, with the doubt that their number leaves. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from fks.domain.book import total
from fks.domain.errors import Refusal
from fks.domain.money import ZERO
from fks.domain.settings import KellySettings
from fks.domain.trades import RoundTrip

Z = Decimal("1.959963984540054")  # of the normal distribution: 95 % lie within so many deviations
KEPT = 1000  # newest closed round trips that are looked at


def edge(win_rate: Decimal, payoff: Decimal) -> Decimal:
    """The share of the equity that grows it fastest; below zero the bet loses. `payoff`: the mean win over
    the mean loss. J. L. Kelly, "A New Interpretation of Information Rate" (1956): f* = w - (1 - w) / b
    """
    return win_rate - (1 - win_rate) / payoff


def lower_bound(wins: int, trades: int) -> Decimal:
    """The least win rate that so many wins leave plausible: the lower end of the 95 % score interval.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).
    """
    if not wins:
        return ZERO  # exactly
    seen = Decimal(wins) / trades
    doubt = Z * (seen * (1 - seen) / trades + Z**2 / (4 * trades**2)).sqrt()
    return (seen + Z**2 / (2 * trades) - doubt) / (1 + Z**2 / trades)


def estimated(trips: Sequence[RoundTrip], rules: KellySettings) -> Decimal:
    """The edge of these closed round trips, shrunk towards zero by n / (n + min_trades).

    A win is a profit after fees; wins and losses are shares of what was entered, so that a trade's size
    gives it no weight. Raises Refusal when there are too few, or none of them was lost.
    """
    needed = max(1, rules.min_trades)
    if len(trips) < needed:
        raise Refusal("sizing.no_estimate", f"kelly: {len(trips)} trades are closed, {needed} are needed")
    returns = [trip.profit / (trip.entry * trip.amount) for trip in trips]
    wins, losses = [one for one in returns if one > 0], [-one for one in returns if one < 0]
    if not losses:
        raise Refusal("sizing.no_estimate", "kelly: no trade was lost yet, so the payoff is not known")
    if not wins:
        return ZERO
    payoff = (total(wins) / len(wins)) / (total(losses) / len(losses))
    return edge(lower_bound(len(wins), len(trips)), payoff) * len(trips) / (len(trips) + needed)
