"""The reference of `fks bench`: the same alert to the same order, written the plain way.

A FastAPI endpoint that checks address, rate, signature, fields and age, places the order through blocking
ccxt, appends to an audit file and answers. It keeps no journal, knows no duplicates, and an order whose
answer is lost is lost. `python reference_service.py EXCHANGE_URL AUDIT_FILE`; secret: $WEBHOOK_SECRET.
"""

import hashlib
import hmac
import ipaddress
import json
import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ccxt
import uvicorn
from fastapi import FastAPI, HTTPException, Request

EXCHANGE_URL, AUDIT_FILE = sys.argv[1], Path(sys.argv[2])
SECRET = os.environ["WEBHOOK_SECRET"].encode()
ALLOWED = [
    ipaddress.ip_network(one)
    for one in ("52.89.214.238/32", "34.212.75.30/32", "54.218.53.128/32", "52.32.178.7/32", "127.0.0.0/8")
]
MAX_AGE_S = 300
MIN_CONFIDENCE = 0.6
PER_MINUTE = 10_000_000  # out of the way: what is measured is how fast it is


class TokenBucket:
    """Requests of each address in a minute."""

    def __init__(self, per_minute: float) -> None:
        self.most, self.per_s = per_minute, per_minute / 60
        self.known: dict[str, tuple[float, float]] = {}

    def allow(self, address: str) -> bool:
        now = time.time()
        tokens, at = self.known.get(address, (self.most, now))
        tokens = min(self.most, tokens + (now - at) * self.per_s)
        self.known[address] = (max(tokens - 1, 0), now)
        return tokens >= 1


def make_exchange() -> Any:
    exchange = ccxt.binance(
        {
            "apiKey": "k" * 64,
            "secret": "s" * 64,
            "enableRateLimit": False,
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
            },
        }
    )
    api = exchange.urls["api"]
    for name, address in api.items():
        if isinstance(address, str):
            api[name] = EXCHANGE_URL + urlsplit(address).path
    exchange.load_markets()
    return exchange


app = FastAPI()
limiter = TokenBucket(PER_MINUTE)
exchange = make_exchange()


@app.post("/webhook/tradingview")
async def webhook(request: Request) -> dict[str, Any]:
    address = request.client.host if request.client else ""
    if not any(ipaddress.ip_address(address) in network for network in ALLOWED):
        raise HTTPException(403, "address not allowed")
    if not limiter.allow(address):
        raise HTTPException(429, "rate limit exceeded")
    body = await request.body()
    wanted = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, request.headers.get("X-Signature", "")):
        raise HTTPException(401, "invalid signature")
    alert = checked(body)
    order = exchange.create_order(
        alert["symbol"], "market", alert["action"], alert["amount"], None, {"newClientOrderId": alert["id"]}
    )
    audit({"time": time.time(), "address": address, "alert": alert, "order_id": order["id"]})
    return {"status": "success", "order_id": order["id"]}


def checked(body: bytes) -> dict[str, Any]:
    try:
        alert: dict[str, Any] = json.loads(body)
    except ValueError:
        raise HTTPException(400, "not JSON") from None
    for name in ("id", "symbol", "action", "amount", "timestamp", "confidence"):
        if name not in alert:
            raise HTTPException(400, f"missing field {name}")
    if alert["action"] not in ("buy", "sell") or float(alert["amount"]) <= 0:
        raise HTTPException(400, "invalid action or amount")
    if alert["confidence"] < MIN_CONFIDENCE:
        raise HTTPException(400, "confidence too low")
    age = datetime.now(UTC) - datetime.fromisoformat(alert["timestamp"])
    if abs(age.total_seconds()) > MAX_AGE_S:
        raise HTTPException(400, "stale alert")
    return alert


def audit(record: dict[str, Any]) -> None:
    with AUDIT_FILE.open("a", encoding="utf8") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(json.dumps(f"127.0.0.1:{listener.getsockname()[1]}") + "\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
