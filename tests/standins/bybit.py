"""A local Bybit v5 server, spot and linear, that checks keys, signatures and time and can misbehave.

From Bybit's v5 documentation and from what ccxt reads of it. Not modelled: batches, amendments, borrowing,
inverse contracts and options.
"""

import hashlib
import hmac
from decimal import Decimal
from typing import Any

from standins import bybit_rows as rows
from standins.account import Instrument
from standins.book import Book
from standins.bybit_orders import as_order, instrument_of, set_trading_stop
from standins.orders import BookOrder, Reason, Refused
from standins.server import KEY, SECRET, Answer, Fault, Request, Said, StandIn, json_answer, main

INSTRUMENTS = (
    Instrument("BTCUSDT", "BTC", "USDT", Decimal("0.000001"), Decimal("0.01")),
    Instrument("ETHUSDT", "ETH", "USDT", Decimal("0.00001"), Decimal("0.01")),
    Instrument("BTCUSDT", "BTC", "USDT", Decimal("0.001"), Decimal("0.1"), swap=True, fee=Decimal("0.00055")),
    Instrument("ETHUSDT", "ETH", "USDT", Decimal("0.01"), Decimal("0.01"), swap=True, fee=Decimal("0.00055")),
)
MARKS = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(2_500)}

# Reason: the code on contracts, the code on spot, the text.
CODES = {
    Reason.SYMBOL: (10001, 170121, "Invalid symbol."),
    Reason.REQUEST: (10001, 10001, "params error"),
    Reason.QUANTITY: (10001, 170137, "Order volume decimal too long."),
    Reason.PRICE: (10001, 170134, "Order price decimal too long."),
    Reason.NOTIONAL: (110094, 170140, "Order value exceeded lower limit."),
    Reason.FUNDS: (110007, 170131, "Insufficient balance."),
    Reason.DUPLICATE: (110072, 170141, "Duplicate clientOrderId."),
    Reason.NOT_FOUND: (110001, 170213, "Order does not exist."),
    Reason.NOT_OPEN: (110001, 170213, "Order does not exist."),
    Reason.TRIGGERS: (110092, 170229, "the trigger price would be reached at once"),
    Reason.REDUCES_NOTHING: (110017, 110017, "current position is zero, cannot fix reduce-only order qty"),
    Reason.POSITION_SIDE: (10001, 10001, "position idx not match position mode"),
    Reason.BUSY: (110024, 110024, "There is an existing position or order."),
    Reason.SAME: (110043, 110043, "Set leverage not modified"),
}


class BybitStandIn(StandIn):
    """A local Bybit with one unified account."""

    placing = ("POST /v5/order/create", "POST /v5/position/trading-stop")

    @staticmethod
    def make_book() -> Book:
        return Book(INSTRUMENTS, dict(MARKS), post_only_ends=True)

    def reply(self, request: Request) -> Answer:
        result = self._public(request)
        if result is None:
            self._authenticate(request)
            result = self._private(request)
        return self._reply(0, "OK", result)

    def refusal(self, request: Request, refused: Refused) -> Answer:
        contract_code, spot_code, text = CODES[refused.reason]
        spot = request.params.get("category") == "spot"
        return self._reply(spot_code if spot else contract_code, f"{text} {refused}")

    def too_many(self, fault: Fault) -> Answer:
        if fault.kind == "ban":
            text = "403, access too frequent. Please try again later."
            return Answer(403, text.encode(), "text/plain")
        headers = f"X-Bapi-Limit-Reset-Timestamp: {self.now + int(fault.seconds * 1000)}\r\n"
        headers += f"Retry-After: {fault.seconds:.0f}\r\n" if fault.seconds else ""
        return self._reply(10006, "Too many visits. Exceeded the API Rate Limit.", headers=headers)

    def order_rows(self) -> list[dict[str, Any]]:
        return [rows.order(one) for one in self.book.orders]

    def _reply(self, code: int, text: str, result: Any = None, headers: str = "") -> Answer:
        return json_answer(
            {"retCode": code, "retMsg": text, "result": result or {}, "retExtInfo": {}, "time": self.now},
            headers=headers,
        )

    def _public(self, request: Request) -> Any:
        params = request.params
        match request.route:
            case "GET /v5/market/time":
                return {"timeSecond": str(self.now // 1000), "timeNano": str(self.now * 1_000_000)}
            case "GET /v5/market/instruments-info":
                return self._instruments(params)
            case "GET /v5/market/tickers":
                instrument = instrument_of(params, self.book)
                ticker = rows.ticker(instrument, self.book.mark(instrument))
                return {"category": params["category"], "list": [ticker]}
            case "GET /v5/market/kline":
                instrument = instrument_of(params, self.book)
                candles = rows.candles(params, self.book.mark(instrument), self.now)
                return {"category": params["category"], "symbol": instrument.name, "list": candles}
        return None

    def _instruments(self, params: dict[str, Any]) -> dict[str, Any]:
        swap = params["category"] == "linear"
        known = params["category"] in ("spot", "linear") and params.get("status") != "PreLaunch"
        found = [
            rows.instrument(one)
            for one in self.book.instruments.values()
            if known and one.swap == swap and params.get("symbol") in (None, one.name)
        ]
        return {"category": params["category"], "list": found, "nextPageCursor": ""}

    def _authenticate(self, request: Request) -> None:
        sent, window = request.header("x-bapi-timestamp"), request.header("x-bapi-recv-window")
        if request.header("x-bapi-api-key") != KEY:
            raise Said(self._reply(10003, "API key is invalid."))
        payload = request.body.decode() if request.method == "POST" else request.query
        wanted = hmac.new(SECRET.encode(), f"{sent}{KEY}{window}{payload}".encode(), hashlib.sha256)
        if not hmac.compare_digest(request.header("x-bapi-sign"), wanted.hexdigest()):
            raise Said(self._reply(10004, "Error sign, please check your signature generation algorithm."))
        if not self.now - int(window or 5000) <= int(sent) < self.now + 1000:
            text = "invalid request, please check your server timestamp or recv_window param. "
            text += f"req_timestamp[{sent}],server_timestamp[{self.now}],recv_window[{window}]"
            raise Said(self._reply(10002, text))

    def _private(self, request: Request) -> Any:
        params, book = request.params, self.book
        match request.route:
            case "POST /v5/order/create":
                return _named(book.place(as_order(params, book), self.now))
            case "POST /v5/order/cancel":
                order = self._order(params)
                book.cancel(order, self.now)
                return _named(order)
            case "POST /v5/order/cancel-all":
                orders = [one for one in self._listed(params) if one.open]
                for one in orders:
                    book.cancel(one, self.now)
                return {"list": [_named(one) for one in orders], "success": "1"}
            case "GET /v5/order/realtime":
                named = params.get("orderId") or params.get("orderLinkId")
                ended = str(params.get("openOnly")) == "1"
                found = [one for one in self._listed(params) if named or one.open != ended]
                return self._page(params, [rows.order(one) for one in found])
            case "GET /v5/order/history":
                found = [one for one in self._listed(params) if not one.open]
                return self._page(params, [rows.order(one) for one in found])
            case "GET /v5/execution/list":
                return self._page(params, self._executions(params))
        return self._account(request)

    def _account(self, request: Request) -> Any:
        params, account = request.params, self.book.account
        match request.route:
            case "GET /v5/account/wallet-balance":
                return rows.wallet(account)
            case "GET /v5/account/info":
                isolated = self.book.account.isolated.get("", False)
                mode = "ISOLATED_MARGIN" if isolated else "REGULAR_MARGIN"
                return {"unifiedMarginStatus": 6, "marginMode": mode}
            case "GET /v5/user/query-api":
                rights = {"Spot": ["SpotTrade"], "ContractTrade": ["Order", "Position"], "Wallet": []}
                return {"readOnly": 0, "permissions": rights, "ips": ["127.0.0.1"], "unified": 0, "uta": 1}
            case "GET /v5/position/list":
                return self._page(params, self._positions(params))
            case "POST /v5/position/trading-stop":
                set_trading_stop(params, self.book, self.now)
                return {}
            case "POST /v5/position/set-leverage":
                name, leverage = instrument_of(params, self.book).name, Decimal(params["buyLeverage"])
                if account.leverage_of(name) == leverage:
                    raise Refused(Reason.SAME)
                account.leverage[name] = leverage
                return {}
            case "POST /v5/position/switch-mode":
                self._switch_mode(int(params["mode"]) == 3)
                return {}
            case "POST /v5/position/switch-isolated":
                account.isolated[str(params["symbol"])] = params["tradeMode"] == 1
                return {}
            case "POST /v5/account/set-margin-mode":
                account.isolated[""] = params["setMarginMode"] == "ISOLATED_MARGIN"
                return {"reasons": []}
        raise Said(Answer(404, b"", "text/plain"))

    def _switch_mode(self, hedge: bool) -> None:
        if self.book.account.hedge == hedge:
            raise Said(self._reply(110025, "Position mode is not modified"))
        if self.book.positions or any(one.instrument.swap for one in self.book.live.values()):
            raise Refused(Reason.BUSY)
        self.book.account.hedge = hedge

    def _order(self, params: dict[str, Any]) -> BookOrder:
        """The one to be canceled. On spot it must be of the filter that is told, "Order" by default."""
        instrument = instrument_of(params, self.book)
        order = self.book.find(instrument, params.get("orderId"), params.get("orderLinkId"))
        listed = params.get("orderFilter", "Order")
        if order is None or (not instrument.swap and rows.filter_of(order) != listed):
            raise Refused(Reason.NOT_FOUND)
        return order

    def _listed(self, params: dict[str, Any]) -> list[BookOrder]:
        """Newest first."""
        swap, since = params.get("category") == "linear", int(params.get("startTime", 0))
        wanted = (
            ("symbol", lambda one: one.instrument.name),
            ("settleCoin", lambda one: one.instrument.quote),
            ("baseCoin", lambda one: one.instrument.base),
            ("orderId", lambda one: str(one.id)),
            ("orderLinkId", lambda one: one.client_id),
            ("orderFilter", rows.filter_of),
        )
        return [
            one
            for one in reversed(self.book.orders)
            if one.instrument.swap == swap
            and one.time >= since
            and all(params.get(name) in (None, "", of(one)) for name, of in wanted)
        ]

    def _executions(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Newest first."""
        swap, since = params.get("category") == "linear", int(params.get("startTime", 0))
        found = [
            rows.trade(one)
            for one in reversed(self.book.trades)
            if one.order.instrument.swap == swap and one.time >= since
        ]
        names = ("symbol", "orderId", "orderLinkId")
        return [one for one in found if all(params.get(name) in (None, "", one[name]) for name in names)]

    def _positions(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        account = self.book.account
        if params.get("symbol"):  # told by name, one that is flat is listed too
            account.position(instrument_of(params, self.book), "long" if account.hedge else "net")
        return [
            rows.position(one, side, self.book)
            for (name, side), one in account.positions.items()
            if params.get("symbol") in (None, name) and (one.amount or params.get("symbol"))
        ]

    @staticmethod
    def _page(params: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
        limit = int(params.get("limit", 50))
        return {"category": params.get("category"), "list": found[:limit], "nextPageCursor": ""}


def _named(order: BookOrder) -> dict[str, str]:
    return {"orderId": str(order.id), "orderLinkId": order.client_id}


if __name__ == "__main__":
    main(BybitStandIn)
