"""How far back the journal may forget, told by a fold of its fills. Pure.

What is needed for good are the folds of the fills: positions, strategies' shares, round trips, what the guard
watches, the paper exchange's purse. Keeping every fill for ever would keep them right, and would make the
file, and each start of the daemon, grow without an end. So what a market's fills came to is *carried forward*
and they may go; but only up to a moment at which the market was flat, because then all the folds agree on
that it is four numbers (amount, average, realised profit, fees), for the account and for each strategy: no
round trip is under way, and no entry holds anything that a stop could be missing for.
So what an open position rests on stays, however old it is. Flat is less than one step of the market, which
cannot be sold; that rest is carried as exactly as all else.

Fills are carried in the order of their recording, so a market has one number up to which its fills are told
by the row that carries them. They are skipped by every fold from then on; when the rows themselves are
deleted, and in which slices, no longer matters.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from fks.domain.attribution import Attribution
from fks.domain.ids import RESEND_S
from fks.domain.kelly import KEPT
from fks.domain.messages import Carried
from fks.domain.settings import Settings
from fks.domain.trades import Execution, RoundTrips, Step

DAY_S = 86400.0

Market = tuple[str, str]  # account, symbol
Owner = tuple[str, str]  # account, strategy


class Rules(Struct, frozen=True):
    """`keep_s`: how long everything stays. `newest`: of each strategy on each account so many of its last
    round trips stay, for Kelly and for losses in a row. `whole`: accounts whose fills all stay.
    """

    keep_s: float
    newest: int = 0
    whole: frozenset[str] = frozenset()


def rules(settings: Settings) -> Rules | None:
    """None: everything is kept.

    No key goes while its alert could come again: until it would be refused as too old, and `RESEND_S` more.
    The paper exchange reckons funding of the past from the fills between which it was due.
    """
    if not settings.journal.retention_days:
        return None
    hook, accounts = settings.webhook, settings.exchanges.values()
    strategies = (one.sizing for one in settings.strategies.values())
    layers = (settings.sizing, *(one.sizing for one in accounts), *strategies)
    estimates = any(one.kelly.estimate for one in layers if one and one.kelly)
    streaks = [one.risk.max_consecutive_losses for one in accounts if one.risk]
    return Rules(
        keep_s=max(settings.journal.retention_days * DAY_S, hook.max_age_s + hook.max_future_s + RESEND_S),
        newest=max(settings.risk.max_consecutive_losses, *streaks, KEPT if estimates else 0),
        whole=frozenset(name for name, one in settings.exchanges.items() if one.funding_rate),
    )


@dataclass(slots=True)
class _Flat:
    """A moment at which a market was flat, and how many round trips its owners had ended by then."""

    carried: Carried
    ended: dict[Owner, int]


@dataclass(slots=True)
class Retention:
    """Executions are added in the order of their recording, beginning behind what is carried already.

    `horizon` (UTC epoch seconds): what has changed since stays.
    """

    rules: Rules
    horizon: float
    step: Step
    _whose: Attribution = field(default_factory=Attribution)
    _trips: RoundTrips = field(init=False)
    _ended: defaultdict[Owner, int] = field(default_factory=lambda: defaultdict(int))
    _owners: defaultdict[Market, set[Owner]] = field(default_factory=lambda: defaultdict(set))
    _moments: defaultdict[Market, deque[_Flat]] = field(default_factory=lambda: defaultdict(deque))
    _found: dict[Market, Carried] = field(default_factory=dict)
    _stays: set[Market] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._trips = RoundTrips(self.step)

    def begin(self, carried: Sequence[Carried]) -> None:
        for one in carried:
            self._whose.begin(one)
            self._trips.begin(one.account, one.symbol, one.shares)

    def add(self, one: Execution) -> None:
        market = (one.order.account, one.order.symbol)
        if not self._may_go(one):
            self._stays.add(market)
        for part in self._whose.parts(one):
            owner = (one.order.account, part.strategy)
            self._owners[market].add(owner)
            self._ended[owner] += len(self._trips.add(part))
        if market not in self._stays and self._flat(market):
            shares = self._trips.left(*market)
            carried = self._whose.carried(*market, upto=one.number, price=one.fill.price, rest=shares.get(""))
            self._moments[market].append(
                _Flat(carried, {owner: self._ended[owner] for owner in self._owners[market]})
            )
        self._release(market)

    def beyond(self, page: Collection[Execution]) -> bool:
        """Whether nothing that follows those could be carried, nor matter for what may be."""
        return not self.rules.newest and all(one.order.updated_at >= self.horizon for one in page)

    def found(self) -> Collection[Carried]:
        """Of each market with something new to be carried, the last moment at which it may be."""
        for market in self._moments:
            self._release(market)
        return self._found.values()

    def _may_go(self, one: Execution) -> bool:
        order = one.order
        return (
            order.at_rest
            and max(order.updated_at, one.fill.time) < self.horizon
            and order.account not in self.rules.whole
        )

    def _flat(self, market: Market) -> bool:
        amount = abs(self._whose.positions[market].amount)
        return not self._trips.running(*market) and (not amount or amount < self.step(*market))

    def _release(self, market: Market) -> None:
        """A moment is given free once its owners have ended enough round trips after it."""
        waiting = self._moments[market]
        while waiting and all(
            self._ended[owner] - ended >= self.rules.newest for owner, ended in waiting[0].ended.items()
        ):
            self._found[market] = waiting.popleft().carried
