"""What orders on derivatives need besides themselves: position mode, leverage, margin mode; and positions.

The exchange keeps all of it per account or per symbol. It is learnt when an order first needs it and
believed until the exchange rejects an order.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from fks.domain.errors import NotSent, Rejected, Transient
from fks.domain.messages import Order, Position
from fks.domain.money import ZERO
from fks.domain.orders import Side
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_markets import contract_size, number
from fks.venues.ccxt_session import Session

_ACCOUNT = ""  # stands for every symbol where the position mode is the account's


class Derivatives:
    """Of one account. Everything of it is empty and unasked on spot."""

    def __init__(self, name: str, session: Session, settings: AccountSettings) -> None:
        self._name = name
        self._session = session
        self._settings = settings
        self._hedged: dict[str, bool] = {}
        self._set: dict[tuple[str, str | None], tuple[int | None, str | None]] = {}
        self._margin: dict[str, str] = {}

    def concerns(self, order: Order) -> bool:
        return bool(self._session.market(order.symbol).get("contract"))

    def hedged(self, symbol: str) -> bool:
        """Whether long and short are held side by side. One-way where it cannot be asked."""
        return self._hedged.get(self._scope(symbol), False)

    def margin_mode(self, symbol: str) -> str | None:
        return self._margin.get(symbol)

    def forget(self, symbol: str) -> None:
        """Somebody may have changed the account's settings: ask again before the next order."""
        self._hedged.pop(self._scope(symbol), None)
        self._set = {key: value for key, value in self._set.items() if key[0] != symbol}

    async def prepare(self, order: Order) -> None:
        """Learn and set what the order relies on. Raises NotSent or Rejected; no order was sent then."""
        try:
            await self.learn_mode(order.symbol)
            await self._learn_margin_mode(order)
        except Transient as error:
            raise NotSent(f"the account's settings could not be asked: {error}") from error
        await self._apply(order)

    # --- position mode

    def _scope(self, symbol: str) -> str:
        return symbol if self._session.dialect.mode_key else _ACCOUNT

    async def learn_mode(self, symbol: str | None = None) -> None:
        """`symbol` None: of the whole account, where that is one question. Raises Transient."""
        session = self._session
        if self._settings.market == "spot" or self._scope(symbol or _ACCOUNT) in self._hedged:
            return
        if session.dialect.mode_key:
            if symbol is not None:
                self._hedged[symbol] = await self._in_hedge_mode(symbol, session.dialect.mode_key)
        elif session.has("fetchPositionMode"):
            some = symbol or next(iter(session.exchange.markets or ()), None)
            told = await session.ask("fetch_position_mode", some)
            self._hedged[_ACCOUNT] = bool(told.get("hedged"))

    async def _in_hedge_mode(self, symbol: str, key: str) -> bool:
        """Asked for by name, a flat position is listed too: once in one-way mode, twice in hedge mode."""
        rows = await self._session.ask("fetch_positions", [symbol])
        return any(str((row.get("info") or {}).get(key)) in ("1", "2") for row in rows)

    # --- leverage and margin mode

    async def _learn_margin_mode(self, order: Order) -> None:
        """An exit must name the margin mode of the position that it closes, or it would not find it."""
        symbol = order.symbol
        if order.margin_mode:
            self._margin[symbol] = order.margin_mode
        elif order.reduce_only and symbol not in self._margin and self._named_with_order():
            for row in await self._session.ask("fetch_positions", [symbol]):
                if row.get("marginMode") and number(row.get("contracts")):
                    self._margin[symbol] = str(row["marginMode"])

    def _named_with_order(self) -> bool:
        return bool(self._session.feature("createOrder").get("marginMode"))

    async def _apply(self, order: Order) -> None:
        """Once per symbol, before the first order that asks for it."""
        session, wanted, side = self._session, (order.leverage, order.margin_mode), self._leverage_side(order)
        if wanted == (None, None) or self._set.get((order.symbol, side)) == wanted:
            return
        create = session.feature("createOrder")
        if order.margin_mode and not create.get("marginMode"):
            self._need("setMarginMode", "a margin mode")
            await session.change("set_margin_mode", order.margin_mode, order.symbol)
        if order.leverage and (session.dialect.leverage_set or not create.get("leverage")):
            self._need("setLeverage", "leverage")
            mode = self._margin.get(order.symbol) if create.get("marginMode") else None
            params = {"marginMode": mode} if mode else {}
            if side and session.dialect.leverage_side:
                params[session.dialect.leverage_side] = side
            await session.change("set_leverage", order.leverage, order.symbol, params)
        self._set[order.symbol, side] = wanted

    def _leverage_side(self, order: Order) -> str | None:
        """The side of a hedge whose leverage is to be set, where each has its own."""
        isolated = self._margin.get(order.symbol) == "isolated"
        if not self._session.dialect.leverage_side or not isolated or not self.hedged(order.symbol):
            return None
        return "long" if (order.side is Side.BUY) != order.reduce_only else "short"

    def _need(self, method: str, what: str) -> None:
        if not self._session.has(method):
            raise Rejected("local.not_supported", f"{what} cannot be set on {self._session.exchange.id}")

    # --- positions

    async def positions(self) -> Sequence[Position]:
        """One signed amount a symbol, in base units: in hedge mode long and short are netted, and the
        average is that of the larger side. Raises Transient, also for a position without a size.
        """
        # A list of several is refused by some; what else is held on the account does no harm.
        symbols = self._settings.symbols
        rows = await self._session.ask("fetch_positions", list(symbols) if len(symbols) == 1 else None)
        sides: dict[str, list[tuple[Decimal, Decimal]]] = {}
        for row in rows:
            symbol, market = str(row.get("symbol")), self._session.market(row.get("symbol"))
            if amount := _signed(row) if market else ZERO:
                average = number(row.get("entryPrice")) or ZERO
                sides.setdefault(symbol, []).append((amount * contract_size(market), average))
        return tuple(
            Position(
                account=self._name,
                symbol=symbol,
                amount=sum((amount for amount, _ in both), ZERO),
                average=max(both, key=lambda side: abs(side[0]))[1],
            )
            for symbol, both in sides.items()
        )


def _signed(row: dict[str, Any]) -> Decimal:
    """Contracts of one row, below zero when short; a size that is already signed is believed."""
    contracts = number(row.get("contracts"))
    if contracts is None:
        if number(row.get("notional")):
            raise Transient(f"the position in {row.get('symbol')} is told without its size")
        return ZERO
    side = row.get("side")
    return contracts if side is None else abs(contracts) * (-1 if side == "short" else 1)


def position_gains(raw: Any, key: str) -> Iterator[tuple[str, Any]]:
    """By currency, from the rows of an exchange's own answer that have the key."""
    if isinstance(raw, list):
        for one in raw:
            yield from position_gains(one, key)
    elif isinstance(raw, dict):
        currency = raw.get("coin") or raw.get("currency")
        if key in raw and isinstance(currency, str):
            yield currency, raw[key]
        yield from position_gains([one for one in raw.values() if isinstance(one, list | dict)], key)
