"""`fks doctor`: what it finds, and that nothing is ever ordered or told in clear."""

import json
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from click.testing import CliRunner, Result

from fks.cli import main
from fks.cli.doctor import table
from fks.cli.doctor_local import files
from fks.domain.diagnosis import Finding, Judgement, Verdict
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings, Settings
from fks.infra.config import load
from fks.venues.doctor import examine
from standins.binance import BinanceStandIn
from standins.bybit import BybitStandIn
from standins.okx import OkxStandIn
from standins.server import KEY, PASSPHRASE, SECRET, Fault, StandIn

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


# --- an account


def settings(exchange: StandIn | None = None, **changes: Any) -> Settings:
    own: dict[str, Any] = {
        "type": "binance",
        "api_key": Secret(KEY),
        "api_secret": Secret(SECRET),
        "symbols": ("BTC/USDT",),
        "base_url": exchange.url if exchange else "",
    }
    return Settings(
        exchanges={"alice": AccountSettings(**(own | changes))},
        default_exchange="alice",
        timeout=2.0,
        retry_delay=0.001,
    )


async def found_by(given: Settings) -> dict[str, Finding]:
    found = await examine("alice", given, time.time)
    assert {one.subject for one in found} == {"alice"}
    return {one.check: one for one in found}


@pytest.mark.real_time
async def test_healthy_account_passes_every_check_and_is_only_read() -> None:
    async with BinanceStandIn() as exchange:
        found = await found_by(settings(exchange))
        methods = {route.split()[0] for route in exchange.counts}
    assert {one.verdict for one in found.values()} == {OK}, found
    assert list(found) == [
        "environment", "markets", "clock", "trading right", "withdrawal right", "balance", "minimum BTC/USDT",
    ]  # fmt: skip
    assert "real money" in found["environment"].detail
    assert found["minimum BTC/USDT"].detail == "at least 0.0001 BTC, 5 USDT"
    assert methods == {"GET"}


STANDINS: dict[str, type[StandIn]] = {"binance": BinanceStandIn, "bybit": BybitStandIn, "okx": OkxStandIn}


@pytest.mark.real_time
@pytest.mark.parametrize("hedge", [False, True])
@pytest.mark.parametrize("where", STANDINS)
async def test_derivatives_account_and_its_position_mode(where: str, hedge: bool) -> None:
    async with STANDINS[where]() as exchange:
        exchange.book.account.hedge = hedge
        own = {"type": where, "market": "swap", "symbols": ("BTC/USDT:USDT",), "password": Secret(PASSPHRASE)}
        found = await found_by(settings(exchange, **own))
        routes = {one.route for one in exchange.requests}
    assert {one.verdict for one in found.values()} <= {OK, WARN}, found
    assert ("hedge" in found["position mode"].detail) == hedge
    for check in ("markets", "trading right", "withdrawal right", "position mode", "balance"):
        assert found[check].verdict is OK, found[check]
    assert not [route for route in routes if not route.startswith("GET ")]


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("where", "isolated", "told"),
    [
        ("binance", {"BTCUSDT": True}, "isolated:"),
        ("binance", {}, "cross:"),
        ("bybit", {"": True}, "isolated:"),
        ("bybit", {}, "cross:"),
        ("okx", {}, "named with each order"),
    ],
)
async def test_margin_mode(where: str, isolated: dict[str, bool], told: str) -> None:
    async with STANDINS[where]() as exchange:
        exchange.book.account.isolated.update(isolated)
        own = {"type": where, "market": "swap", "symbols": ("BTC/USDT:USDT",), "password": Secret(PASSPHRASE)}
        found = (await found_by(settings(exchange, **own)))["margin mode"]
    assert (found.verdict, found.detail[: len(told)]) == (OK, told)


@pytest.mark.real_time
@pytest.mark.parametrize(("ahead", "verdict"), [(-1.0, WARN), (1.0, WARN), (4.0, FAIL)])
async def test_skewed_clock_is_seen(ahead: float, verdict: Verdict) -> None:
    async with BinanceStandIn(clock=lambda: time.time() - ahead) as exchange:
        clock = (await found_by(settings(exchange)))["clock"]
    assert clock.verdict is verdict
    assert ("ahead of" in clock.detail) == (ahead > 0)


@pytest.mark.real_time
async def test_wrong_key_fails_where_the_balance_is_read_and_is_not_told() -> None:
    key, secret = "a-canary-key-000000", "a-canary-secret-000000"
    async with BinanceStandIn() as exchange:
        found = await found_by(settings(exchange, api_key=Secret(key), api_secret=Secret(secret)))
    assert found["balance"].verdict is FAIL
    assert found["key's rights"].verdict is WARN
    assert "signature=" not in str(found).replace("signature=***", "")
    assert key not in str(found)
    assert secret not in str(found)


@pytest.mark.real_time
async def test_exchange_that_cannot_be_reached_is_one_failure() -> None:
    async with BinanceStandIn() as exchange:
        gone = settings(exchange)
    found = await found_by(gone)
    assert [one.verdict for one in found.values()] == [OK, FAIL]
    assert "base_url" not in found["markets"].detail
    assert "127.0.0.1" in found["markets"].remedy


@pytest.mark.real_time
async def test_question_that_gets_no_answer_is_a_finding_and_the_rest_goes_on() -> None:
    async with BinanceStandIn() as exchange:
        exchange.faults.append(Fault("close", route="GET /api/v3/ticker", count=99))
        exchange.faults.append(Fault("close", route="GET /sapi", count=99))
        found = await found_by(settings(exchange))
    assert found["key's rights"].verdict is found["minimum BTC/USDT"].verdict is WARN
    assert found["balance"].verdict is OK


@pytest.mark.real_time
async def test_symbol_that_the_account_has_not() -> None:
    async with BinanceStandIn() as exchange:
        wrong = await found_by(settings(exchange, symbols=("BTC/USDX",)))
        given = settings(exchange, symbols=())
        aliased = await found_by(msgspec.structs.replace(given, symbols={"GOLD": "XAU/USDT"}))
        narrowed = await found_by(msgspec.structs.replace(settings(exchange), symbols={"GOLD": "XAU/USDT"}))
    assert (wrong["markets"].verdict, "BTC/USDX" in wrong["markets"].detail) == (FAIL, True)
    assert (aliased["minimum XAU/USDT"].verdict, "'GOLD'" in aliased["minimum XAU/USDT"].detail) == (
        WARN,
        True,
    )
    assert "minimum XAU/USDT" not in narrowed


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"type": "kraken", "testnet": True}, "[exchanges.alice] testnet: kraken has none"),
        ({"type": "binanse"}, "did you mean 'binance'"),
        ({"api_secret": Secret("")}, "api_secret"),
        ({"type": "paper", "symbols": ("NONSENSE",)}, "[exchanges.alice]"),
    ],
)
async def test_impossible_account_is_one_failure_and_nothing_is_asked(
    changes: dict[str, Any], told: str
) -> None:
    found = await found_by(settings(**changes))
    assert found["configuration"].verdict is FAIL
    assert told in found["configuration"].detail


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"testnet": True}, "no real money"),
        ({"mode": "dry_run"}, "no order is sent"),
    ],
)
async def test_environment_tells_whether_money_is_real(changes: dict[str, Any], told: str) -> None:
    async with BinanceStandIn() as exchange:
        found = await found_by(settings(exchange, **changes))
    assert told in found["environment"].detail
    assert found["balance"].verdict is OK


@pytest.mark.real_time
async def test_rights_cannot_be_told_on_binance_s_testnet() -> None:
    """It has no such endpoint, and the live one must not be asked instead."""
    async with BinanceStandIn() as exchange:
        found = await found_by(settings(exchange, testnet=True))
        assert not [route for route in exchange.counts if "sapi" in route]
    assert found["key's rights"].verdict is WARN


async def test_paper_account() -> None:
    money = {"USDT": Decimal(1000)}
    given = settings(
        type="paper", base_url="", symbols=(), balance=money, prices={"BTC/USDT": Decimal(50_000)}
    )
    found = await found_by(given)
    assert {check: one.verdict for check, one in found.items()} == {
        "environment": OK, "balance": OK, "minimum BTC/USDT": OK,
    }  # fmt: skip


async def test_an_alias_lists_no_market_that_a_paper_account_has_not() -> None:
    swap, alias = "BTC/USDT:USDT", {"BTCUSD": "BTC/USDT"}
    own = {"type": "paper", "base_url": "", "symbols": (), "market": "swap"}
    found = await found_by(
        msgspec.structs.replace(settings(**own, prices={swap: Decimal(50_000)}), symbols=alias)
    )
    assert found[f"minimum {swap}"].verdict is OK
    assert "this account has no such market" in found["minimum BTC/USDT"].detail
    found = await found_by(msgspec.structs.replace(settings(**own), symbols=alias))
    assert "there is no price" in found["minimum BTC/USDT"].detail


# --- the command

KRAKEN = '[exchanges.bob]\ntype = "kraken"\ntestnet = true\napi_key = "k"\napi_secret = "s"\n'


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.delenv("FKS_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    config = tmp_path / "fks.toml"

    def run(*args: str, text: str = "", head: str = "", server: str = "") -> Result:
        addresses = 'listen = ["127.0.0.1:0"]\nadmin = ["127.0.0.1:0"]\ntrusted_proxies = ["127.0.0.1"]\n'
        config.write_text(f"{head}[server]\n{addresses}{server}\n{text}")
        config.chmod(0o600)
        return CliRunner().invoke(main, ["--config", str(config), "doctor", *args], prog_name="fks")

    return run


def test_command_exits_0_when_nothing_fails(doctor: Callable[..., Result]) -> None:
    result = doctor()
    assert result.exit_code == 0, result.output
    assert "paper" in result.stdout
    assert "  ok    balance" in result.stdout


def test_command_exits_1_when_something_fails(doctor: Callable[..., Result]) -> None:
    result = doctor(text=KRAKEN)
    assert result.exit_code == 1
    assert "testnet: kraken has none" in result.stdout
    assert "1 of" in result.stderr


def test_command_gives_one_json_document(doctor: Callable[..., Result]) -> None:
    document = json.loads(doctor("--json").stdout)
    assert document["ok"] is True
    assert {"subject", "check", "verdict", "detail", "remedy"} == set(document["findings"][0])
    failing = doctor("--json", text=KRAKEN)
    assert (json.loads(failing.stdout)["ok"], failing.exit_code) == (False, 1)


def test_log_of_a_venue_does_not_get_into_the_answer(
    doctor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def examine(*_args: object) -> list[Finding]:
        structlog.get_logger().warning("account_not_ready")
        return []

    monkeypatch.setattr("fks.venues.doctor.examine", examine)
    assert json.loads(doctor("--json").output)["ok"] is True


def test_table_names_each_subject_once_and_shows_remedies() -> None:
    good = Judgement(OK, "fine").of("a", "one")
    bad = Judgement(FAIL, "\x1b[2Jbad", "mend it").of("a", "two")
    lines = table([good, bad, Judgement(OK, "fine").of("b", "one")])
    assert lines[0].endswith("a\x1b[0m")
    assert sum("-> mend it" in line for line in lines) == 1
    assert not any("\x1b[2J" in line for line in lines)
    assert lines.count("") == 1


CANARY = "canary-of-a-secret"


def test_files_of_secrets_that_others_may_read(doctor: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    secret, state = tmp_path / "credentials" / "key", tmp_path / "webhook_secret"
    for path, mode in ((secret, 0o644), (state, 0o640)):
        path.write_text(CANARY)
        path.chmod(mode)
    text = '[webhook]\nsecrets = ["${credential:key}"]\n'
    result = doctor(
        "--json", text='[exchanges.paper]\ntype = "paper"\n' + text, head='secrets_dir = "credentials"\n'
    )
    found = {one["check"]: one for one in json.loads(result.stdout)["findings"] if one["subject"] == "files"}
    assert found[str(secret)]["verdict"] == "fail"
    assert found[str(state)]["verdict"] == "warn"
    assert found[str(tmp_path / "fks.toml")]["verdict"] == "ok"
    assert CANARY not in result.output
    warned = [one for one in json.loads(result.stdout)["findings"] if one["subject"] == "configuration"]
    assert not [one for one in warned if "readable" in one["detail"]]  # said once


def test_keys_in_a_readable_configuration_belong_in_credentials(tmp_path: Path) -> None:
    config = tmp_path / "fks.toml"
    config.write_text(KRAKEN)
    config.chmod(0o644)
    [found] = [one for one in files(load(config, {})) if one.check == str(config)]
    assert found.verdict is Verdict.FAIL
    assert found.remedy.startswith("write ${credential:NAME} for its secrets")


def test_machine_is_measured_in_the_state_directory(doctor: Callable[..., Result], tmp_path: Path) -> None:
    found = {(one["subject"], one["check"]) for one in json.loads(doctor("--json").stdout)["findings"]}
    assert {("machine", "clock"), (f"state {tmp_path}", "space"), (f"state {tmp_path}", "fsync")} <= found
    assert ("systemd", "unit") in found or ("systemd fks.service", "unit") in found


def test_state_directory_that_is_not_there_is_not_made(
    doctor: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    result = doctor()
    assert result.exit_code == 0
    assert "is not there yet" in result.stdout
    assert not (tmp_path / "state").exists()


def test_public_address_is_the_configurations_or_the_calls(doctor: Callable[..., Result]) -> None:
    assert "not known, so not checked" in doctor().stdout
    configured = doctor(server='public_url = "https://localhost:1/webhook"')
    assert "https://localhost:1/webhook" in configured.stdout
    given = doctor("--url", "http://localhost:2/webhook", server='public_url = "https://localhost:1/webhook"')
    assert "http://localhost:2/webhook" in given.stdout
    assert "localhost:1" not in given.stdout
    assert given.exit_code == 1


def test_a_systemd_machine(doctor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    units = {
        "fks.service": {"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code"},
        "fks.socket": {"ActiveState": "active"},
    }
    monkeypatch.setattr("fks.infra.machine.has_systemd", lambda: True)
    monkeypatch.setattr("fks.infra.machine.unit_properties", lambda name: units.get(name, {}))
    monkeypatch.setattr("fks.infra.machine.unit_security", lambda _name: "exposure level for x: 9.2 UNSAFE")
    findings = json.loads(doctor("--json").stdout)["findings"]
    found = {one["check"]: one["verdict"] for one in findings if one["subject"] == "systemd fks.service"}
    assert found == {
        "unit": "fail", "start": "warn", "watchdog": "warn", "hardening": "warn",
        "fks.socket": "ok", "fks-desk.socket": "warn",
    }  # fmt: skip
