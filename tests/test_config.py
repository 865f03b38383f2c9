"""Where a configuration comes from, and what it says."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config_cases import CANARY, IDS, errors, no_usual_places, read  # noqa: F401 - a fixture
from fks.domain.secret import Secret
from fks.domain.settings import Settings
from fks.infra.config import ConfigError, load
from fks.infra.config_decode import dotted_names

EXAMPLE = Path(__file__).parents[1] / "etc" / "fks.toml"


# --- where it comes from


def test_without_a_file_there_is_one_paper_account() -> None:
    loaded = load(None, {})
    assert loaded.path is None
    account = loaded.settings.exchanges["paper"]
    assert loaded.settings.default_exchange == account.type == "paper"
    assert (account.balance, account.prices) == ({"USDT": Decimal(100_000)}, {"BTC/USDT": Decimal(50_000)})


def test_a_named_file_comes_before_the_variable_before_the_usual_places(tmp_path: Path) -> None:
    for name in ("named", "variable", "cwd/fks", "etc"):
        (tmp_path / f"{name}.toml").write_text("")
    env = {"FKS_CONFIG": str(tmp_path / "variable.toml")}
    assert load(tmp_path / "named.toml", env).path == tmp_path / "named.toml"
    assert load(None, env).path == tmp_path / "variable.toml"
    assert load(None, {}).path == Path("fks.toml")
    Path("fks.toml").unlink()
    assert load(None, {}).path == tmp_path / "etc.toml"


@pytest.mark.parametrize("env", [{}, {"FKS_CONFIG": "absent.toml"}])
def test_a_named_file_that_is_not_there_is_an_error(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: no such file"):
        load(None if env else Path("absent.toml"), env)


def test_a_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    Path("fks.toml").mkdir()
    with pytest.raises(ConfigError, match=r"fks\.toml: cannot be read: Is a directory"):
        load(None, {})


def test_journal_and_audit_are_relative_to_the_state_directory(tmp_path: Path) -> None:
    assert load(None, {}).journal_path == Path.cwd() / "var" / "fks.db"
    loaded = load(None, {"STATE_DIRECTORY": "/var/lib/fks:/other"})
    assert (loaded.journal_path, loaded.audit_path) == (
        Path("/var/lib/fks/fks.db"),
        Path("/var/lib/fks/audit.jsonl"),
    )
    loaded = read(tmp_path, 'journal.url = "sqlite:/data/my.db"\naudit.path = "/log/a.jsonl"')
    assert (loaded.journal_path, loaded.audit_path) == (Path("/data/my.db"), Path("/log/a.jsonl"))


@pytest.mark.parametrize(("name", "folder"), [("fks.toml", "fks"), ("alice.toml", "fks-alice")])
def test_an_installed_configuration_has_its_units_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    monkeypatch.setattr("fks.infra.config.INSTALLED", tmp_path)
    (tmp_path / name).write_text("")
    assert load(tmp_path / name, {}).state_dir == Path("/var/lib") / folder
    assert load(tmp_path / name, {"STATE_DIRECTORY": "/a"}).state_dir == Path("/a")


# --- what it says


def test_the_example_is_the_defaults(tmp_path: Path) -> None:
    loaded = load(EXAMPLE, {}, IDS)
    assert msgspec.structs.replace(loaded, path=None) == load(None, {})


def uncommented(text: str) -> str:
    return "\n".join(
        line[1:] if line.startswith("#") and line[1:2].strip() not in ("", "#") else line
        for line in text.splitlines()
    )


def test_the_example_names_every_key_and_each_may_be_used(tmp_path: Path) -> None:
    text = uncommented(EXAMPLE.read_text())
    secrets = tmp_path / "credentials"
    secrets.mkdir()
    names = ("admin_token", "webhook_secret", "tv_secret", "trend_secret", "binance_key", "binance_secret")
    for name in names:
        (secrets / name).write_text(f"the-{name}-of-this-test\n")
    settings = read(tmp_path, text).settings
    assert settings.exchanges["binance"].api_secret.reveal() == "the-binance_secret-of-this-test"
    assert settings.symbols == {"BTCUSD": "BTC/USDT"}
    assert [one.name for one in settings.webhook.secrets] == ["secret-1", "tv"]

    said = set(dotted_keys(tomllib.loads(text)))
    said |= {re.sub(r"^(exchanges|strategies|symbols)\.[^.]+", r"\1.NAME", key) for key in said}
    said |= {re.sub(r"\.(steps|symbols)\.[^.]+", r".\1.NAME", key) for key in said}
    elsewhere = re.compile(r"exchanges\.NAME\.(sizing|risk)\.")  # the keys of [sizing] and [risk]
    assert {name for name in dotted_names(Settings) if not elsewhere.match(name)} <= said


def dotted_keys(tree: dict[str, Any], path: str = "") -> list[str]:
    keys = []
    for key, value in tree.items():
        keys.append(f"{path}{key}")
        if isinstance(value, dict):
            keys.extend(dotted_keys(value, f"{path}{key}."))
    return keys


def test_numbers_are_exact_whether_written_as_number_or_text(tmp_path: Path) -> None:
    text = '[risk]\nmax_order_notional = 0.1\nmax_daily_loss = "1,234.567890123456789"\nmax_open_orders = 3'
    risk = read(tmp_path, text).settings.risk
    assert risk.max_order_notional == Decimal("0.1")
    assert risk.max_daily_loss == Decimal("1234.567890123456789")
    assert type(risk.max_open_orders) is int


def test_the_older_yaml_form_loads(tmp_path: Path) -> None:
    text = f"""
exchanges:
  binance:
    api_key: ${{KEY}}
    api_secret: "{CANARY}"
    testnet: true
default_exchange: binance
retry_attempts: 5
retry_delay: 0.5
timeout: 10
"""
    settings = read(tmp_path, text, {"KEY": "k"}, "old.yml").settings
    account = settings.exchanges["binance"]
    assert (account.type, account.api_key, account.testnet) == ("binance", Secret("k"), True)
    assert (settings.retry_attempts, settings.retry_delay, settings.timeout) == (5, 0.5, 10.0)


def test_the_only_account_is_the_default_one(tmp_path: Path) -> None:
    assert read(tmp_path, "[exchanges.kraken]").settings.default_exchange == "kraken"


def test_an_explicit_default_is_never_replaced(tmp_path: Path) -> None:
    found = errors(tmp_path, 'default_exchange = "paper"\n[exchanges.kraken]')
    assert found == ["default_exchange: names no account (accounts: kraken)"]


def test_a_second_account_of_a_type_has_its_own_name(tmp_path: Path) -> None:
    text = 'default_exchange = "alice"\n[exchanges.binance]\n[exchanges.alice]\ntype = "binance"'
    accounts = read(tmp_path, text).settings.exchanges
    assert {name: account.type for name, account in accounts.items()} == {
        "binance": "binance",
        "alice": "binance",
    }


def test_without_known_exchanges_any_type_will_do(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[exchanges.novel]")
    assert load(tmp_path / "a.toml", {}).settings.exchanges["novel"].type == "novel"


def test_a_paper_account_keeps_its_money_when_something_else_is_set(tmp_path: Path) -> None:
    account = read(tmp_path, '[exchanges.paper]\nfee = 0\nprices = {"ETH/USDT" = 2000}').settings.exchanges[
        "paper"
    ]
    assert (account.balance, account.prices) == ({"USDT": Decimal(100_000)}, {"ETH/USDT": Decimal(2000)})


def test_options_reach_ccxt_as_it_expects_them(tmp_path: Path) -> None:
    text = '[exchanges.binance]\noptions = { recvWindow = 5000, a = { b = [1.5, "${X}"] } }'
    options = read(tmp_path, text, {"X": "x"}).settings.exchanges["binance"].options
    assert options == {"recvWindow": 5000, "a": {"b": [1.5, "x"]}}
    assert type(options["a"]["b"][0]) is float
