"""A local OKX v5 server, spot and linear swaps, that checks keys, signatures and time and can misbehave.

From OKX's v5 documentation and from what ccxt reads of it. Not modelled: margin trading, amendments, inverse
contracts, futures and options.
"""

import base64
import hashlib
import hmac
from datetime import datetime
from decimal import Decimal
from typing import Any

from standins import okx_rows as rows
from standins.account import Instrument
from standins.book import Book
from standins.okx_orders import as_algo_order, as_order, instrument_of
from standins.orders import BookOrder, Reason, Refused
from standins.server import KEY, PASSPHRASE, SECRET, Answer, Fault, Request, Said, StandIn, json_answer, main
from standins.wire import plain

_SPOT: dict[str, Any] = {"min_notional": Decimal(0), "min_quantity": Decimal("0.00001")}
_SWAP: dict[str, Any] = {"swap": True, "min_notional": Decimal(0), "min_quantity": Decimal("0.01"),
                         "fee": Decimal("0.0005")}  # fmt: skip
INSTRUMENTS = (
    Instrument("BTC-USDT", "BTC", "USDT", Decimal("0.00000001"), Decimal("0.1"), **_SPOT),
    Instrument("ETH-USDT", "ETH", "USDT", Decimal("0.000001"), Decimal("0.01"), **_SPOT),
    Instrument(
        "BTC-USDT-SWAP", "BTC", "USDT", Decimal("0.01"), Decimal("0.1"), contract=Decimal("0.01"), **_SWAP
    ),
    Instrument(
        "ETH-USDT-SWAP", "ETH", "USDT", Decimal("0.01"), Decimal("0.01"), contract=Decimal("0.1"), **_SWAP
    ),
)
MARKS = {name: Decimal(50_000 if name.startswith("BTC") else 2_500)
         for name in ("BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP", "ETH-USDT-SWAP")}  # fmt: skip

CODES = {
    Reason.SYMBOL: ("51001", "Instrument ID does not exist"),
    Reason.REQUEST: ("51000", "Parameter error"),
    Reason.QUANTITY: ("51121", "Order quantity must be a multiple of the lot size."),
    Reason.PRICE: ("51000", "Parameter px error"),
    Reason.NOTIONAL: ("51020", "Your order should meet or exceed the minimum order amount."),
    Reason.FUNDS: ("51008", "Order failed. Insufficient balance or margin in your account."),
    Reason.DUPLICATE: ("51016", "Client order ID already exists."),
    Reason.NOT_FOUND: ("51603", "Order does not exist"),
    Reason.NOT_OPEN: ("51400", "Cancellation failed: the order is filled, canceled or does not exist."),
    Reason.TRIGGERS: ("51280", "SL trigger price must be on the far side of the last price"),
    Reason.REDUCES_NOTHING: ("51169", "Order failed because you don't have any positions in this direction."),
    Reason.POSITION_SIDE: ("51000", "Parameter posSide error"),
    Reason.BUSY: ("59000", "Your settings failed as you have positions, bot or open orders."),
}
_CLOCK_MS = 30_000  # a timestamp further away is refused
_ALGOS = {"orders-algo-pending", "orders-algo-history"}


class OkxStandIn(StandIn):
    """A local OKX with one account in futures mode. `attaches`: attached stops come to life."""

    attaches = True

    placing = ("POST /api/v5/trade/order", "POST /api/v5/trade/batch-orders", "POST /api/v5/trade/order-algo")

    @staticmethod
    def make_book() -> Book:
        return Book(INSTRUMENTS, dict(MARKS), post_only_ends=True)

    def reply(self, request: Request) -> Answer:
        data = self._public(request)
        if data is not None:
            return _said(data)
        self._authenticate(request)
        return self._trade(request) or self._orders(request) or _said(self._account(request))

    def refusal(self, request: Request, refused: Refused) -> Answer:
        code, text = CODES[refused.reason]
        return _said([], code, f"{text} {refused}")

    def too_many(self, fault: Fault) -> Answer:
        wait = f"Retry-After: {fault.seconds:.0f}\r\n" if fault.seconds else ""
        if fault.kind == "ban":  # by the guard before the exchange
            return Answer(403, b"<html>Access denied</html>", "text/html", wait)
        return _said([], "50011", "Too Many Requests", 429, wait)

    def order_rows(self) -> list[dict[str, Any]]:
        return [rows.any_order(one) for one in self.book.orders]

    def _public(self, request: Request) -> list[Any] | None:
        params, book = request.params, self.book
        match request.route.replace("/api/v5", ""):
            case "GET /public/time":
                return [{"ts": str(self.now)}]
            case "GET /public/instruments":
                swap = {"SPOT": False, "SWAP": True}.get(params["instType"])
                return [rows.instrument(one) for one in book.instruments.values() if one.swap is swap]
            case "GET /market/ticker":
                instrument = instrument_of(params, book)
                return [rows.ticker(instrument, book.mark(instrument), self.now)]
            case "GET /market/candles":
                return list(rows.candles(params, book.mark(instrument_of(params, book)), self.now))
        return None

    def _authenticate(self, request: Request) -> None:
        sent = request.header("ok-access-timestamp")
        if request.header("ok-access-key") != KEY:
            raise Said(_said([], "50111", "Invalid OK-ACCESS-KEY", 401))
        if request.header("ok-access-passphrase") != PASSPHRASE:
            raise Said(_said([], "50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', 401))
        payload = f"{sent}{request.method}{request.target}{request.body.decode()}"
        wanted = base64.b64encode(hmac.digest(SECRET.encode(), payload.encode(), hashlib.sha256)).decode()
        if not hmac.compare_digest(request.header("ok-access-sign"), wanted):
            raise Said(_said([], "50113", "Invalid Sign", 401))
        if abs(self.now - datetime.fromisoformat(sent).timestamp() * 1000) > _CLOCK_MS:
            raise Said(_said([], "50102", "Timestamp request expired", 401))
        if (until := request.header("exptime")) and self.now > int(until):
            raise Said(_said([], "50036", "The expTime can't be earlier than the current system time."))

    # --- orders

    def _trade(self, request: Request) -> Answer | None:
        """What changes orders, one row at a time."""
        book, now = self.book, self.now

        def place(row: dict[str, Any]) -> dict[str, str]:
            order = as_order(row, book)
            if not self.attaches:
                order.attached = ()
            return rows.named(book.place(order, now), now)

        def place_algo(row: dict[str, Any]) -> dict[str, str]:
            return rows.named(book.place(as_algo_order(row, book), now), now)

        def cancel(row: dict[str, Any]) -> dict[str, str]:
            order = self._find(row, algo="algoId" in row or "algoClOrdId" in row)
            if order is None or not order.open:
                raise Refused(Reason.NOT_OPEN)
            book.cancel(order, now)
            return rows.named(order, now)

        match request.route.replace("/api/v5/trade", ""):
            case "POST /order" | "POST /batch-orders":
                return _each(request, place)
            case "POST /order-algo":
                return _each(request, place_algo)
            case "POST /cancel-order" | "POST /cancel-batch-orders" | "POST /cancel-algos":
                return _each(request, cancel)
        return None

    def _find(self, params: dict[str, Any], *, algo: bool) -> BookOrder | None:
        instrument = instrument_of(params, self.book) if "instId" in params else None
        names = ("algoId", "algoClOrdId") if algo else ("ordId", "clOrdId")
        found = self.book.find(instrument, *(params.get(name) for name in names))
        return found if found and found.becomes == algo else None

    def _orders(self, request: Request) -> Answer | None:
        params, name = request.params, request.path.removeprefix("/api/v5/trade/")
        match name:
            case "order" | "order-algo":
                order = self._find(params, algo=name == "order-algo")
                if order is None:
                    raise Refused(Reason.NOT_FOUND)
                return _said([rows.any_order(order)])
            case "orders-pending" | "orders-history" | "orders-algo-pending" | "orders-algo-history":
                if name in _ALGOS and not params.get("ordType"):
                    raise Refused(Reason.REQUEST, "ordType")
                if name == "orders-history" and not params.get("instType"):
                    raise Refused(Reason.REQUEST, "instType")
                pending = name.endswith("pending")
                found = [
                    rows.any_order(one)
                    for one in reversed(self.book.orders)
                    if one.becomes == (name in _ALGOS)
                    and one.open == pending
                    and one.time >= int(params.get("begin") or 0)
                ]
                return _said(_matching(params, found, "instType", "instId", "ordType", "state", "algoId"))
            case "fills" | "fills-history":
                since = int(params.get("begin") or 0)
                trades = [rows.trade(one) for one in reversed(self.book.trades) if one.time >= since]
                return _said(_matching(params, trades, "instType", "instId", "ordId"))
        return None

    # --- the account

    def _account(self, request: Request) -> list[Any]:
        params, account = request.params, self.book.account
        match request.route.replace("/api/v5/account", ""):
            case "GET /balance":
                return [rows.balance(account, self.now)]
            case "GET /config":
                return [rows.config(account)]
            case "GET /positions":
                wanted = str(params.get("instId") or "").split(",")
                return [
                    rows.position(one, side, account, self.book.mark(one.instrument))
                    for (name, side), one in self.book.positions.items()
                    if name in wanted or wanted == [""]
                ]
            case "POST /set-leverage":
                name, side = instrument_of(params, self.book).name, params.get("posSide", "net")
                if params["mgnMode"] == "isolated" and (side == "net") == account.hedge:
                    raise Refused(Reason.POSITION_SIDE, side)
                account.leverage[name] = Decimal(str(params["lever"]))
                account.isolated[name] = params["mgnMode"] == "isolated"
                lever = plain(account.leverage[name])
                return [{"lever": lever, "mgnMode": params["mgnMode"], "instId": name, "posSide": side}]
            case "POST /set-position-mode":
                hedge = params["posMode"] == "long_short_mode"
                busy = self.book.positions or any(one.instrument.swap for one in self.book.live.values())
                if busy and hedge != account.hedge:
                    raise Refused(Reason.BUSY)
                account.hedge = hedge
                return [{"posMode": params["posMode"]}]
        raise Said(_said([], "404", "Request path not found", 404))


def _said(data: list[Any], code: str = "0", text: str = "", status: int = 200, headers: str = "") -> Answer:
    return json_answer({"code": code, "msg": text, "data": data}, status, headers)


def _each(request: Request, act: Any) -> Answer:
    """Code 0: all were done; 1: none; 2: some. Each row tells its own."""
    data, failed = [], 0
    for row in request.rows:
        try:
            data.append(act(row) | {"sCode": "0", "sMsg": ""})
        except Refused as refused:
            failed += 1
            code, text = CODES[refused.reason]
            empty = {"clOrdId": str(row.get("clOrdId", "")), "ordId": "", "tag": ""}
            data.append(empty | {"sCode": code, "sMsg": f"{text} {refused}"})
    code = "0" if not failed else "1" if failed == len(data) else "2"
    return _said(data, code, "All operations failed" if code == "1" else "")


def _matching(params: dict[str, Any], found: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Those that have what is asked for; several values are separated by commas."""
    asked = {name: str(params[name]).split(",") for name in names if params.get(name)}
    kept = [one for one in found if all(one.get(name) in values for name, values in asked.items())]
    return kept[: int(params.get("limit") or 100)]


if __name__ == "__main__":
    main(OkxStandIn)
