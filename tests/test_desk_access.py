"""Who may use the desk: the token, the host, the origin."""

import pytest

from desk_cases import TOKEN, Desk, an_alert, problem_of
from fks.actors.desk import DeskDeps, make_desk
from fks.domain.masking import Masker
from fks.domain.secret import Secret
from fks.infra.desk_http import OPEN_ROUTES
from fks.kernel import Broadcast
from memory_journal import MemoryJournal, MemoryLedger, an_order


def test_a_desk_without_a_token_is_not_made() -> None:
    deps = DeskDeps(
        journal=MemoryJournal(MemoryLedger()),
        accounts={},
        ticker=None,  # type: ignore[arg-type]
        prices=None,  # type: ignore[arg-type]
        trades=None,  # type: ignore[arg-type]
        lint=None,  # type: ignore[arg-type]
        metrics=bytes,
        unready=list,
        token=Secret(""),
        events=Broadcast(),
        wall=float,
        default_account=lambda: "paper",
        webhooks={},
        known=Masker,
    )
    with pytest.raises(ValueError, match="admin_token"):
        make_desk(deps)


ADMIN = [
    ("GET", "/openapi.json"),
    ("GET", "/v1/alerts"),
    ("GET", "/v1/alerts/a1"),
    ("GET", "/v1/orders"),
    ("GET", "/v1/orders/q1"),
    ("DELETE", "/v1/orders/q1"),
    ("POST", "/v1/cancel"),
    ("GET", "/v1/positions"),
    ("GET", "/v1/trades"),
    ("GET", "/v1/balance"),
    ("GET", "/v1/accounts"),
    ("GET", "/v1/ticker"),
    ("GET", "/v1/trading"),
    ("POST", "/v1/trading"),
    ("POST", "/v1/lint"),
    ("GET", "/v1/events"),
    ("GET", "/no/such/route"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN)
@pytest.mark.fault(24)
async def test_every_admin_route_wants_the_token(method: str, path: str) -> None:
    desk = Desk(MemoryLedger(order_rows=[an_order("q1")], alert_rows=[an_alert("a1")]))
    for token in (None, "", "wrong", TOKEN + "x", "ü\x80"):
        reply = await desk.send(method, path, {"account": None, "state": "halted"}, token=token)
        assert reply.status_code == 401
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        assert TOKEN not in str(await problem_of(reply))
    assert desk.ledger.changes == []
    assert desk.journal.reads == 0


def test_the_list_of_admin_routes_above_is_complete() -> None:
    rules = {(method, rule.rule) for rule in Desk().app.url_map.iter_rules() for method in rule.methods or ()}
    routes = {(method, rule) for method, rule in rules if method in ("GET", "POST", "DELETE")}
    shown = {(method, path.replace("a1", "<alert_id>").replace("q1", "<order_id>")) for method, path in ADMIN}
    console = {("GET", "/console"), ("POST", "/console/logout")}  # test_console.py
    assert {path for _, path in routes - shown - console} == OPEN_ROUTES


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_and_metrics_want_no_token(path: str) -> None:
    assert (await Desk().get(path, token=None)).status_code == 200


async def test_an_alert_goes_to_the_door_which_asks_for_no_token() -> None:
    desk = Desk()
    assert (await desk.send("POST", "/webhook", b"an alert", token=None)).status_code == 202
    assert desk.alerts == [b"an alert"]
    assert (await desk.send("POST", "/webhook/other", b"no alert", token=None)).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/v1/orders"])
async def test_a_rebound_name_is_refused(path: str) -> None:
    desk = Desk()
    for host in ("evil.example", "evil.example:8081", "127.0.0.1.evil.example", ""):
        reply = await desk.get(path, Host=host)
        assert reply.status_code == 421
        await problem_of(reply)
    assert (await desk.get(path, Host="localhost")).status_code == 200


async def test_over_a_unix_socket_any_host_will_do() -> None:
    desk, headers = Desk(), {"Host": "fks", "Authorization": f"Bearer {TOKEN}"}
    client = desk.app.test_client()
    reply = await client.get("/v1/orders", headers=headers, scope_base={"server": None})
    assert reply.status_code == 200


async def test_another_sites_page_changes_nothing() -> None:
    desk = Desk()
    wish = {"state": "halted", "account": None}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        assert (await desk.send("POST", "/v1/trading", wish, Origin=origin)).status_code == 403
    assert desk.ledger.changes == []
    assert (await desk.send("POST", "/v1/trading", wish, Origin="http://127.0.0.1:8081")).status_code == 200
    assert (await desk.get("/v1/trading", Origin="http://evil.example")).status_code == 200
