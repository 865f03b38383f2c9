"""Who may trade what, over the real door: floods of guesses, scopes, ends, and who is told to have sent."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from process import PAPER, SECRET, Daemon, Reply, running

EXTRA = """, {{ secret = "{tv}", name = "tv", accounts = ["paper"], strategies = ["trend"] }},
{{ secret = "{old}", name = "old", expires = 2020-01-01 }}]"""
TV, OLD = "the-secret-of-the-trend-alone", "a-secret-that-has-ended"
CONFIG = (
    PAPER
    + """
[exchanges.other]
type = "paper"
prices = { "BTC/USDT" = 50000.0 }
[strategies.trend]
exchanges = ["paper"]
risk = { max_position_notional = 1000.0 }
[strategies.grid]
"""
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("senders")
    one = Daemon(folder, CONFIG)
    text = one.config.read_text().replace(
        f'"{SECRET.reveal()}"]', f'"{SECRET.reveal()}"' + EXTRA.format(tv=TV, old=OLD)
    )
    one.config.write_text(text.replace("burst = 10000, per_minute = 100000", "burst = 20, per_minute = 60"))
    with_it = one.start()
    yield with_it
    with_it.kill()


def by(daemon: Daemon, secret: str, **fields: Any) -> Reply:
    raw = {
        "symbol": "BTC/USDT", "action": "buy", "amount": 0.01, "confidence": 1,
        "timestamp": time.time(), "secret": secret, **fields,
    }  # fmt: skip
    return daemon.post(json.dumps(raw).encode())


def test_the_chain_tells_who_sent_it(daemon: Daemon) -> None:
    reply = by(daemon, TV, id="named")
    assert reply.status == 200, reply
    chain = daemon.ask(f"/v1/alerts/{reply.json['alert_id']}")
    assert chain["source"] == "tv"
    (accepted,) = [one for one in daemon.events() if one["event"] == "alert_accepted"][-1:]
    assert (accepted["sender"], accepted["strategy"]) == ("tv", "trend")
    assert TV not in daemon.log.read_text()


def test_out_of_scope_is_403_and_recorded(daemon: Daemon) -> None:
    for fields in ({"strategy": "grid"}, {"exchange": "other"}):
        reply = by(daemon, TV, **fields)
        assert reply.status in (400, 403), reply
    reply = by(daemon, TV, strategy="grid")
    assert (reply.status, reply.json["code"]) == (403, "auth.scope")
    told = [(one["code"], one["sender"]) for one in daemon.events() if one["event"] == "alert_rejected"]
    assert ("auth.scope", "tv") in told  # said once: the second is a repetition


def test_an_expired_secret_is_a_stranger_and_told_of_once(daemon: Daemon) -> None:
    replies = [by(daemon, OLD) for _ in range(3)]
    stranger = by(daemon, "nobody")
    assert {(one.status, one.body) for one in replies} == {(401, stranger.body)}
    told = [one for one in daemon.events() if one["event"] == "webhook_secret_expired"]
    assert [one["sender"] for one in told] == ["old"]


def test_a_strategys_own_limit_holds_beside_the_accounts(daemon: Daemon) -> None:
    reply = by(daemon, TV, amount=0.02, id="big")
    assert (reply.status, reply.json["reason"]) == (422, "risk.max_position_notional"), reply
    assert "strategy trend" in reply.json["detail"]
    assert by(daemon, SECRET.reveal(), strategy="grid", amount=0.02, id="free").status == 200


def test_a_flood_of_guesses_costs_the_attacker_his_rate_not_the_owner(daemon: Daemon) -> None:
    """All come from one address, as behind a proxy or from TradingView's own."""
    flood = [by(daemon, f"guess-{number}").status for number in range(60)]
    assert set(flood) == {401, 429}
    assert flood[-1] == 429
    mine = [by(daemon, SECRET.reveal(), id=f"mine-{number}") for number in range(5)]
    assert [one.status for one in mine] == [200] * 5


def test_a_strategys_exit_closes_its_own_and_a_missed_alert_is_an_alarm(tmp_path: Path) -> None:
    with running(tmp_path, PAPER + "[strategies.trend]\n[strategies.grid]\n") as daemon:
        state = {"prev_market_position": "flat", "market_position": "long"}
        bought = [
            daemon.alert(strategy=name, amount=size, **state)
            for name, size in (("trend", 0.01), ("grid", 0.02))
        ]
        assert [one.status for one in bought] == [200, 200]
        leaves = {"action": "sell", "prev_market_position": "long", "market_position": "flat"}
        gone = daemon.alert(strategy="trend", amount=0.01, **leaves)
        order = daemon.until_order(gone.json["alert_id"], "filled")
        assert (order["leg"], order["filled"]) == ("close", "0.01")
        assert Decimal(daemon.ask("/v1/positions")["positions"][0]["amount"]) == Decimal("0.02")
        assert not [one for one in daemon.events() if one["event"] == "strategy_drift"]
        again = daemon.alert(strategy="trend", amount=0.01, position_size=0, **leaves)
        assert (again.status, again.json["reason"]) == (422, "close.nothing")
        (told,) = [one for one in daemon.events() if one["event"] == "strategy_drift"]
        assert (told["code"], told["alert_id"]) == ("strategy.drift", again.json["alert_id"])
        assert "had long 0.01 before this alert, the book has flat" in told["detail"]
