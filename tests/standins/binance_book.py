"""The account book of the Binance stand-in: balances, orders, trades. No network, no clock."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

FEE = Decimal("0.001")
ZERO = Decimal(0)
LIMITS = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
TRIGGERED = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")


class BookError(Exception):
    """An error as Binance codes it."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Symbol:
    base: str
    quote: str
    step: Decimal
    tick: Decimal
    min_notional: Decimal = Decimal(5)

    @property
    def name(self) -> str:
        return self.base + self.quote


@dataclass
class BookOrder:
    id: int
    client_id: str
    symbol: Symbol
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    stop: Decimal
    time_in_force: str
    time: int
    updated: int
    quote_quantity: Decimal = ZERO
    status: str = "NEW"
    executed: Decimal = ZERO
    spent: Decimal = ZERO  # quote
    waiting: bool = False  # for its trigger
    held_asset: str = ""
    held: Decimal = ZERO  # locked; a fill releases its share and then pays what it really costs
    trades: list[dict[str, Any]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED")

    def row(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol.name,
            "orderId": self.id,
            "orderListId": -1,
            "clientOrderId": self.client_id,
            "price": _eight(self.price),
            "origQty": _eight(self.quantity),
            "executedQty": _eight(self.executed),
            "origQuoteOrderQty": _eight(self.quote_quantity),
            "cummulativeQuoteQty": _eight(self.spent),
            "status": self.status,
            "timeInForce": self.time_in_force,
            "type": self.type,
            "side": self.side,
            "stopPrice": _eight(self.stop),
            "icebergQty": "0.00000000",
            "time": self.time,
            "updateTime": self.updated,
            "isWorking": not self.waiting,
            "workingTime": self.time,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        }

    def full(self) -> dict[str, Any]:
        """The answer to a placement with newOrderRespType=FULL."""
        row = self.row()
        for name in ("time", "updateTime", "isWorking", "icebergQty"):
            del row[name]
        fills = [
            {key: trade[key] for key in ("price", "qty", "commission", "commissionAsset")}
            | {"tradeId": trade["id"]}
            for trade in self.trades
        ]
        return {**row, "transactTime": self.updated, "fills": fills}


def _eight(value: Decimal) -> str:
    return f"{value:.8f}"


def _number(params: dict[str, str], name: str) -> Decimal:
    return Decimal(params.get(name, "0"))


SYMBOLS = (
    Symbol("BTC", "USDT", Decimal("0.00001"), Decimal("0.01")),
    Symbol("ETH", "USDT", Decimal("0.0001"), Decimal("0.01")),
)


class Book:
    """One account. `executions` counts every order that was ever accepted, by client id."""

    def __init__(self, balances: dict[str, Decimal] | None = None) -> None:
        start = {"USDT": Decimal(100_000), "BTC": Decimal(1)} if balances is None else balances
        self.free = dict(start)
        self.locked: dict[str, Decimal] = {}
        self.symbols = {symbol.name: symbol for symbol in SYMBOLS}
        self.marks = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(2_500)}
        self.orders: list[BookOrder] = []
        self.trades: list[dict[str, Any]] = []

    @property
    def executions(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for order in self.orders:
            counts[order.client_id] = counts.get(order.client_id, 0) + 1
        return counts

    def symbol(self, name: str | None) -> Symbol:
        if name not in self.symbols:
            raise BookError(-1121, "Invalid symbol.")
        return self.symbols[name]

    def find(self, params: dict[str, str], code: int, message: str) -> BookOrder:
        symbol = self.symbol(params.get("symbol"))
        for order in reversed(self.orders):
            wanted = params.get("orderId")
            same = str(order.id) == wanted if wanted else order.client_id == params.get("origClientOrderId")
            if same and order.symbol == symbol:
                return order
        raise BookError(code, message)

    def place(self, params: dict[str, str], now: int) -> BookOrder:
        order = self._checked(params, now)
        mark = self.marks[order.symbol.name]
        if order.type in TRIGGERED:
            if self._triggers(order, mark):
                raise BookError(-2010, "Stop price would trigger immediately.")
            order.waiting = True
        if order.type == "LIMIT_MAKER" and self._crosses(order, mark):
            raise BookError(-2010, "Order would immediately match and take.")
        self._lock(order, mark)
        self.orders.append(order)
        self._work(order, now)
        return order

    def _checked(self, params: dict[str, str], now: int) -> BookOrder:
        symbol = self.symbol(params.get("symbol"))
        kind, side = params.get("type", ""), params.get("side", "")
        if side not in ("BUY", "SELL") or kind not in ("LIMIT", "MARKET", "LIMIT_MAKER", *TRIGGERED):
            raise BookError(-1116, "Invalid orderType.")
        mark = self.marks[symbol.name]
        quote = _number(params, "quoteOrderQty")
        quantity = _number(params, "quantity") or (quote / mark // symbol.step) * symbol.step
        price, stop = _number(params, "price"), _number(params, "stopPrice")
        if quantity <= 0 or quantity % symbol.step:
            raise BookError(-1013, "Filter failure: LOT_SIZE")
        if price % symbol.tick or stop % symbol.tick or (kind in LIMITS and price <= 0):
            raise BookError(-1013, "Filter failure: PRICE_FILTER")
        if kind in TRIGGERED and stop <= 0:
            raise BookError(
                -1102, "Mandatory parameter 'stopPrice' was not sent, was empty/null, or malformed."
            )
        if quantity * (price or stop or mark) < symbol.min_notional:
            raise BookError(-1013, "Filter failure: NOTIONAL")
        client_id = params.get("newClientOrderId") or f"x-{len(self.orders)}"
        if any(order.open and order.client_id == client_id for order in self.orders):
            raise BookError(-2010, "Duplicate order sent.")
        return BookOrder(
            id=28_457 + len(self.orders),
            client_id=client_id,
            symbol=symbol,
            side=side,
            type=kind,
            quantity=quantity,
            price=price,
            stop=stop,
            time_in_force=params.get("timeInForce", "GTC"),
            quote_quantity=quote,
            time=now,
            updated=now,
        )

    def set_mark(self, symbol: str, price: Decimal, now: int) -> None:
        """The market moves: triggers fire, crossed limits fill."""
        self.marks[self.symbol(symbol).name] = price
        for order in self.orders:
            if order.open and order.symbol.name == symbol:
                if order.waiting and self._triggers(order, price):
                    order.waiting = False
                self._work(order, now)

    def cancel(self, order: BookOrder, now: int) -> None:
        self._end(order, "CANCELED", now)

    def fill(self, order: BookOrder, quantity: Decimal, price: Decimal, now: int) -> None:
        """Execute a part; the commission is taken from what is received."""
        symbol, amount = order.symbol, quantity * price
        self._release(order, quantity / (order.quantity - order.executed))
        order.executed += quantity
        order.spent += amount
        order.updated = now
        order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        paid, received = (symbol.quote, symbol.base) if order.side == "BUY" else (symbol.base, symbol.quote)
        gave, got = (amount, quantity) if order.side == "BUY" else (quantity, amount)
        fee = (got * FEE).quantize(Decimal("1e-8"))
        self.free[paid] = self.free.get(paid, ZERO) - gave
        self.free[received] = self.free.get(received, ZERO) + got - fee
        trade = {
            "symbol": symbol.name,
            "id": 1 + len(self.trades),
            "orderId": order.id,
            "orderListId": -1,
            "price": _eight(price),
            "qty": _eight(quantity),
            "quoteQty": _eight(amount),
            "commission": _eight(fee),
            "commissionAsset": received,
            "time": now,
            "isBuyer": order.side == "BUY",
            "isMaker": False,
            "isBestMatch": True,
        }
        order.trades.append(trade)
        self.trades.append(trade)

    def _work(self, order: BookOrder, now: int) -> None:
        mark = self.marks[order.symbol.name]
        if order.waiting:
            return
        if order.type not in LIMITS or self._crosses(order, mark):
            self.fill(order, order.quantity - order.executed, mark, now)
        elif order.time_in_force in ("IOC", "FOK"):
            self._end(order, "EXPIRED", now)

    def _end(self, order: BookOrder, status: str, now: int) -> None:
        self._release(order, Decimal(1))
        order.status, order.updated = status, now

    @staticmethod
    def _crosses(order: BookOrder, mark: Decimal) -> bool:
        return order.price >= mark if order.side == "BUY" else order.price <= mark

    @staticmethod
    def _triggers(order: BookOrder, mark: Decimal) -> bool:
        rising = (order.side == "BUY") == order.type.startswith("STOP_LOSS")
        return mark >= order.stop if rising else mark <= order.stop

    def _lock(self, order: BookOrder, mark: Decimal) -> None:
        if order.side == "SELL":
            order.held_asset, order.held = order.symbol.base, order.quantity
        else:
            price = order.price or order.stop or mark
            order.held_asset, order.held = order.symbol.quote, order.quantity * price
        if self.free.get(order.held_asset, ZERO) < order.held:
            raise BookError(-2010, "Account has insufficient balance for requested action.")
        self.free[order.held_asset] -= order.held
        self.locked[order.held_asset] = self.locked.get(order.held_asset, ZERO) + order.held

    def _release(self, order: BookOrder, share: Decimal) -> None:
        released = order.held * share
        order.held -= released
        self.locked[order.held_asset] -= released
        self.free[order.held_asset] += released
