"""What a configuration may say, and that every mistake in it is named."""

import json
import string
import tomllib
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.secret import Secret
from fks.domain.settings import Settings
from fks.infra import config
from fks.infra.config import ConfigError, Loaded, load
from fks.infra.config_decode import Opaque, dotted_names
from fks.infra.config_document import parse_toml, parse_yaml
from fks.infra.config_rules import KEYS, VALUES

EXAMPLE = Path(__file__).parents[1] / "etc" / "fks.toml"
IDS = ("binance", "bybit", "kraken")
CANARY = "canary-5f1e7c"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration in the usual places."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(config, "DEFAULT_PATHS", (Path("fks.toml"), tmp_path / "etc.toml"))


def read(tmp_path: Path, text: str, env: dict[str, str] | None = None, name: str = "my.toml") -> Loaded:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load(path, env or {}, IDS)


def errors(tmp_path: Path, text: str, env: dict[str, str] | None = None, name: str = "my.toml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, env, name)
    assert str(caught.value) == "\n".join(caught.value.errors)
    assert caught.value.exit_code == 78
    return list(caught.value.errors)


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
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("admin_token", "webhook_secret", "binance_key", "binance_secret"):
        (secrets / name).write_text(f"the-{name}-of-this-test\n")
    settings = read(tmp_path, text).settings
    assert settings.exchanges["binance"].api_secret.reveal() == "the-binance_secret-of-this-test"
    assert settings.symbols == {"BTCUSD": "BTC/USDT"}

    said = set(dotted_keys(tomllib.loads(text)))
    said |= {f"exchanges.NAME.{key.split('.', 2)[2]}" for key in said if key.count(".") > 1}
    said |= {"symbols.NAME", "exchanges.NAME"}
    assert set(dotted_names(Settings)) <= said


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


# --- references


def test_references_work_inside_longer_texts_and_double_dollars_are_dollars(tmp_path: Path) -> None:
    text = 'webhook.secrets = ["a${ONE}-${TWO}", "$$x", "p$w", "$${ONE}"]'
    secrets = read(tmp_path, text, {"ONE": "1", "TWO": "${ONE}"}).settings.webhook.secrets
    assert [one.reveal() for one in secrets] == ["a1-${ONE}", "$x", "p$w", "${ONE}"]


def test_numbers_and_switches_may_come_from_the_environment(tmp_path: Path) -> None:
    text = 'timeout = "${T}"\n[exchanges.binance]\ntestnet = "${S}"'
    settings = read(tmp_path, text, {"T": "7.5", "S": "true"}).settings
    assert (settings.timeout, settings.exchanges["binance"].testnet) == (7.5, True)


def test_credentials_come_from_systemd_before_secrets_dir(tmp_path: Path) -> None:
    for folder, names in {"run": ("a",), "own": ("a", "b")}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(f"{folder}-{name} \n")
    text = 'secrets_dir = "${OWN}"\nwebhook.secrets = ["${credential:a}", "${credential:b}"]'
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "run"), "OWN": "own"}
    secrets = read(tmp_path, text, env).settings.webhook.secrets
    assert [one.reveal() for one in secrets] == ["run-a ", "own-b "]


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("${NO}", "the environment variable NO is not set (set it)"),
        ("${EMPTY}", "the environment variable EMPTY is empty (set it)"),
        ("${credential:none}", "no credential 'none' in {dir} (create that file)"),
        ("${credential:empty}", "{dir}/empty is empty (write the value into it)"),
        ("${credential:latin}", "{dir}/latin is not UTF-8 text (write it anew)"),
        ("${credential:folder}", "{dir}/folder cannot be read: Is a directory (check its permissions)"),
        ("${credential:../up}", "not a reference"),
        ("${credential:/etc/passwd}", "not a reference"),
        ("${credential:..}", "not a reference"),
        ("${credential:}", "not a reference"),
        ("${a b}", "not a reference"),
        ("${open", "'${' without its '}'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error_never_an_empty_text(
    tmp_path: Path, reference: str, problem: str
) -> None:
    (tmp_path / "up").write_text("reached")
    folder = tmp_path / "secrets"
    (folder / "folder").mkdir(parents=True)
    (folder / "empty").write_text("\n")
    (folder / "latin").write_bytes(b"\xe9")
    env = {"CREDENTIALS_DIRECTORY": str(folder), "EMPTY": ""}
    (found,) = errors(tmp_path, f'[exchanges.binance]\napi_secret = "x{reference}"', env)
    expected = f"exchanges.binance.api_secret: {problem}".replace("{dir}", str(folder))
    assert found.startswith(expected)


def test_a_credential_without_any_place_to_look_says_so(tmp_path: Path) -> None:
    (found,) = errors(tmp_path, 'server.admin_token = "${credential:t}"')
    assert found == (
        "server.admin_token: no credential 't': there is no $CREDENTIALS_DIRECTORY "
        "(set secrets_dir to its folder)"
    )


# --- mistakes

BAD = [
    ("retry_atempts = 1", "retry_atempts: unknown key (did you mean retry_attempts?)"),
    (
        "[risk]\nmax_order_notinal = 1",
        "risk.max_order_notinal: unknown key (did you mean risk.max_order_notional?)",
    ),
    ("[server]\nwait_s = 1", "server.wait_s: unknown key (did you mean webhook.wait_s?)"),
    ("[log]\nxyzzy = 1", "log.xyzzy: unknown key (known here: level, format)"),
    (
        '[exchanges.binance]\n"api key" = "x"',
        'exchanges.binance."api key": unknown key (did you mean exchanges.binance.api_key?)',
    ),
    ("[webhook.rate]\nbrust = 1", "webhook.rate.brust: unknown key (did you mean webhook.rate.burst?)"),
    ('timeout = "soon"', "timeout: not a decimal number (write digits, such as 0.05)"),
    ("timeout = true", "timeout: not a number (write digits, such as 0.05)"),
    ("timeout = nan", "timeout: not a finite number (write digits, such as 0.05)"),
    ("timeout = 0", "timeout: must be above 0 (raise it)"),
    ("retry_attempts = 1.5", "retry_attempts: not a whole number (write it without a fraction)"),
    ("retry_attempts = -1", "retry_attempts: must be at least 0 (raise it)"),
    ("server = 1", "server: must be a table (write [server] or { key = value })"),
    ("exchanges = []", "exchanges: must be a table (write [exchanges] or { key = value })"),
    (
        "exchanges.binance = 1",
        "exchanges.binance: must be a table (write [exchanges.binance] or { key = value })",
    ),
    ('server.listen = "127.0.0.1:80"', "server.listen: must be a list (put it in square brackets)"),
    ("server.listen = []", "server.listen: is empty (give at least one address)"),
    ("server.listen = [80]", "server.listen[0]: must be text (put it in quotes)"),
    (
        'server.listen = ["a:1", "nope"]',
        "server.listen[1]: is not an address (write host:port, [ipv6]:port or unix:/path)",
    ),
    ('server.listen = ["a:65536"]', "server.listen[0]: has a port above 65535 (choose a lower one)"),
    (
        'server.listen = ["[::g]:1"]',
        "server.listen[0]: is not an address (write host:port, [ipv6]:port or unix:/path)",
    ),
    (
        'server.admin = ["unix:x"]',
        "server.admin[0]: is not an absolute path (write host:port, [ipv6]:port or unix:/path)",
    ),
    (
        'server.admin = ["127.0.0.1:8080"]',
        "server.admin: shares an address with server.listen (choose another port)",
    ),
    (
        'server.trusted_proxies = ["tradingview"]',
        "server.trusted_proxies[0]: is not a network (write 10.0.0.0/8 or one address)",
    ),
    (
        'webhook.allow = ["10.0.0.1/8"]',
        "webhook.allow[0]: is an address within a network (write 10.0.0.0/8, or tradingview)",
    ),
    (
        'webhook.allow = ["tradingveiw"]',
        "webhook.allow[0]: is not a network (write 10.0.0.0/8 or one address, or tradingview)",
    ),
    ('server.admin_token = ""', "server.admin_token: is empty (write a value or remove the key)"),
    ('webhook.secrets = [""]', "webhook.secrets[0]: is empty (write a value or remove the key)"),
    ("webhook.wait_s = -0.1", "webhook.wait_s: must be at least 0 (raise it)"),
    (
        "webhook.min_confidence = 60",
        "webhook.min_confidence: must be between 0 and 1 (a share of 1, not percent: 0.05 is 5 %)",
    ),
    ("sizing.pct = 5", "sizing.pct: must be between 0 and 1 (a share of 1, not percent: 0.05 is 5 %)"),
    ("sizing.risk_pct = 0", "sizing.risk_pct: must be above 0 (raise it)"),
    ("sizing.atr_period = 0", "sizing.atr_period: must be at least 1 (raise it)"),
    ('sizing.atr_timeframe = "hourly"', "sizing.atr_timeframe: is not a timeframe (write 1m, 1h, 1d, ...)"),
    ('sizing.method = "fixed_amount"', "sizing.amount: must be above 0 for the method fixed_amount (set it)"),
    (
        'log.level = "inof"',
        "log.level: must be one of debug, info, warning, error (did you mean info?)",
    ),
    ("log.level = 3", "log.level: must be one of debug, info, warning, error (choose one)"),
    (
        "sizing.kelly.win_rate = 55",
        "sizing.kelly.win_rate: must be between 0 and 1 (a share of 1, not percent: 0.05 is 5 %)",
    ),
    ("sizing.kelly.payoff = 0", "sizing.kelly.payoff: must be above 0 (raise it)"),
    ("risk.max_daily_loss = -1", "risk.max_daily_loss: must be at least 0 (raise it)"),
    (
        "risk.max_order_notional = 1e30",
        "risk.max_order_notional: out of range (1e-18 to 1e18) (write digits, such as 0.05)",
    ),
    (
        'journal.url = "postgresql://db/fks"',
        "journal.url: PostgreSQL is not supported by this version "
        "(write sqlite:NAME, relative to the state directory, or sqlite:/absolute/path)",
    ),
    (
        'journal.url = "sqlite::memory:"',
        "journal.url: is not a journal "
        "(write sqlite:NAME, relative to the state directory, or sqlite:/absolute/path)",
    ),
    ('audit.path = "a\\u0000b"', "audit.path: holds a character that cannot be printed (remove it)"),
    (
        'symbols = { BTCUSD = "BTCUSDT" }',
        "symbols.BTCUSD: is not a market (write BASE/QUOTE or BASE/QUOTE:SETTLE)",
    ),
    (
        'exchanges.paper.prices = { BTC = 1 }',
        "exchanges.paper.prices.BTC: the key is not a market (write BASE/QUOTE or BASE/QUOTE:SETTLE)",
    ),
    (
        "exchanges.paper.fee = 1.5",
        "exchanges.paper.fee: must be between 0 and 1 (a share of 1, not percent: 0.05 is 5 %)",
    ),
    ("exchanges.paper.breaker.probes = 0", "exchanges.paper.breaker.probes: must be above 0 (raise it)"),
    (
        "exchanges.paper.rate.reserve = 2",
        "exchanges.paper.rate.reserve: must be between 0 and 1 (a share of 1, not percent: 0.05 is 5 %)",
    ),
    (
        'exchanges.binance.base_url = "ftp://x"',
        "exchanges.binance.base_url: is neither http nor https (write http://host:port or https://host:port)",
    ),
    (
        'exchanges.binance.base_url = "http://u:p@x/api"',
        "exchanges.binance.base_url: is more or less than an address (write http://host:port or https://host:port)",
    ),
    (
        'exchanges.binance.api_key = "k"',
        "exchanges.binance.api_secret: is missing although api_key is given (set both)",
    ),
    ("exchanges.binance.api_key = 5", "exchanges.binance.api_key: must be text (put it in quotes)"),
    ("exchanges.binance.testnet = 1", "exchanges.binance.testnet: must be true or false (without quotes)"),
    ("[exchanges.binanec]", "exchanges.binanec.type: is not an exchange (did you mean binance?)"),
    (
        '[exchanges.x]\ntype = "zzz"',
        "exchanges.x.type: is not an exchange (set it to paper or a ccxt exchange id)",
    ),
    (
        '[exchanges."a b"]\ntype = "paper"',
        'exchanges."a b": the key is not an account name (use letters, digits, _ and -)',
    ),
    (
        "[exchanges.binance]\n[exchanges.kraken]",
        "default_exchange: names no account (accounts: binance, kraken)",
    ),
    (
        'default_exchange = "binanc"\n[exchanges.binance]',
        "default_exchange: names no account (did you mean binance?)",
    ),
    (
        'default_exchange = "kraken"',
        "default_exchange: names no account (accounts: none: add [exchanges.kraken])",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD, ids=[expected.split(":")[0] for _, expected in BAD])
def test_a_mistake_is_named_with_its_key_and_its_cure(tmp_path: Path, text: str, expected: str) -> None:
    assert errors(tmp_path, text) == [expected]


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    harmless_together = [
        text for text, _ in BAD if text.count("\n") == 0 and text.count(".") == 1 and "{" not in text
    ]
    seen: set[str] = set()
    chosen = [t for t in harmless_together if (key := t.split(" =")[0]) not in seen and not seen.add(key)]  # type: ignore[func-returns-value]
    chosen = [text for text in chosen if text.split(" =")[0] not in ("exchanges.binance", "server.admin")]
    expected = {line for text, line in BAD if text in chosen}
    assert len(chosen) > 15
    assert set(errors(tmp_path, "\n".join(chosen))) == expected


def test_mistakes_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = errors(tmp_path, "[webhook]\nwait_s = -1\n[server]\ndrain_s = -1\nmax_connections = 0")
    assert [line.split(":")[0] for line in found] == [
        "webhook.wait_s",
        "server.drain_s",
        "server.max_connections",
    ]


def test_a_missing_reference_is_not_blamed_twice(tmp_path: Path) -> None:
    found = errors(tmp_path, '[exchanges.binance]\napi_key = "k"\napi_secret = "${NO}"')
    assert found == ["exchanges.binance.api_secret: the environment variable NO is not set (set it)"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.toml", "a = ", "not valid TOML: Invalid value"),
        ("a.toml", "timeout = 1\ntimeout = 2", "not valid TOML: Cannot overwrite a value"),
        ("a.toml", "timeout = " + "9" * 5000, "not valid TOML: a number has too many digits"),
        ("a.toml", "timeout = 1e" + "9" * 30, "not valid TOML: a number has too many digits"),
        ("a.toml", "x = " + "[" * 5000, "nested too deeply"),
        ("a.toml", "exchanges.x.options." + "a." * 5000 + "a = 1", "nested too deeply"),
        ("a.yml", "a: 1\na: 2", "not valid YAML: the key 'a' appears twice (at line 2, column 1)"),
        ("a.yml", "a: &x 1\nb: *x", "not valid YAML: aliases are not supported (at line 2, column 4)"),
        ("a.yml", "a: !!python/name:os.system x", "not valid YAML: could not determine a constructor"),
        ("a.yml", "a: 2024-99-99", "not valid YAML: a date, number or tag makes no sense"),
        ("a.yml", "a: \x00", "not valid YAML: it holds a character"),
        ("a.yml", "- 1", "not a table of keys and values"),
        ("a.yml", "? [1]\n: 2", "not valid YAML: a key is not text"),
        ("a.yaml", "x: " + "[" * 5000, "nested too deeply"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_error_with_its_place(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    (found,) = errors(tmp_path, text, name=name)
    assert found.startswith(f"{tmp_path / name}: {problem}")
    assert found.endswith("(correct the file)")


def test_yaml_words_that_are_not_text_are_explained(tmp_path: Path) -> None:
    found = errors(tmp_path, "notify:\n  on: [filled]\ntimeout:\n", name="a.yml")
    assert found == [
        "notify.True: the key is not text (put it in quotes)",
        "timeout: has no value (write one or remove the key)",
    ]


def test_a_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b'x = "\xe9"')
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(path, {})


# --- secrets


def test_a_secret_is_in_no_error_repr_or_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [
        f'[exchanges.binance]\napi_secret = "{CANARY}"\noptions = {{ privateKey = "{CANARY}" }}',
        f'webhook.secrets = ["{CANARY}"]\nserver.admin_token = "{CANARY}"\nnotify.urls = ["tgram://{CANARY}"]',
    ]
    for text in texts:
        assert CANARY not in repr(read(tmp_path, text))
    wrong_places = [
        f'timeout = "{CANARY}"', f'log.level = "{CANARY}"', f'webhook.allow = ["{CANARY}"]',
        f'server.listen = ["{CANARY}"]', f'symbols = {{ A = "{CANARY}" }}', f'notify.on = ["{CANARY}"]',
        f'journal.url = "{CANARY}"', f'exchanges.x.type = "{CANARY}"', f'exchanges.x.base_url = "{CANARY}"',
        f'default_exchange = "{CANARY}"\n[exchanges.kraken]', f'server.listen = "{CANARY}"',
        f'webhook.secrets = ["{CANARY}" "x"]', f'webhook.secrets = "{CANARY}',
    ]  # fmt: skip
    for text in wrong_places:
        assert CANARY not in "".join(errors(tmp_path, text))
    assert CANARY not in "".join(errors(tmp_path, f'a: "{CANARY}" x', name="a.yml"))


def test_options_print_nothing_and_are_still_a_dict() -> None:
    options = Opaque(privateKey=CANARY)
    assert CANARY not in f"{options} {options!r}"
    assert {**options} == {"privateKey": CANARY}


def test_files_with_secrets_that_all_may_read_are_warned_of(tmp_path: Path) -> None:
    secret = tmp_path / "s"
    secret.write_text("0123456789abcdef")
    path = tmp_path / "a.toml"
    path.write_text(f'secrets_dir = "."\nwebhook.secrets = ["${{credential:s}}", "{CANARY}-{CANARY}"]')
    for each in (secret, path):
        each.chmod(0o644)
    assert load(path, {}).warnings == tuple(
        f"{each}: holds secrets and is readable by every user (chmod 600)" for each in (path, secret)
    )
    for each in (secret, path):
        each.chmod(0o600)
    assert load(path, {}).warnings == ()


def test_what_is_probably_not_meant_is_warned_of(tmp_path: Path) -> None:
    text = 'webhook = { max_age_s = 20, wait_s = 3, secrets = ["short"] }'
    keys = [line.split(":")[0] for line in read(tmp_path, text).warnings]
    assert keys == ["webhook.max_age_s", "webhook.wait_s", "webhook.secrets[0]"]


# --- rules


def test_every_number_and_list_has_a_rule() -> None:
    """A new limit cannot be added without deciding what a sensible value is."""
    for owner, name in {**VALUES, **KEYS}:
        assert name in owner.__struct_fields__, f"{owner.__name__}.{name} is no field"
    missing = []

    def walk(cls: type[msgspec.Struct]) -> None:
        for field in msgspec.structs.fields(cls):
            kind = field.type
            inner = get_args(kind)[-1] if get_origin(kind) is dict else kind
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                walk(inner)
            elif (get_origin(kind) is tuple or inner in (int, float, Decimal)) and (
                cls,
                field.name,
            ) not in VALUES:
                missing.append(f"{cls.__name__}.{field.name}")

    walk(Settings)
    assert missing == []


KEY_NAMES = sorted({part for name in dotted_names(Settings) for part in name.split(".")})
KEY = st.sampled_from(KEY_NAMES) | st.text(max_size=6)
LEAF = (
    st.booleans() | st.integers() | st.floats() | st.dates()
    | st.text(max_size=12) | st.text(string.punctuation, max_size=8)
    | st.sampled_from(["${A}", "${credential:x}", "1e999", "http://[", "[::1]:8", "unix:/\0", "10.0.0.1/8"])
)  # fmt: skip
TREE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4), max_leaves=12
)


def toml(value: Any) -> str:
    """As TOML, the document itself as one inline table."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)


def mistakes(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8", newline="")
    try:
        load(path, {"A": "a"}, IDS)
    except ConfigError as error:
        return list(error.errors) or ["an error without a reason"]
    return []


@given(tree=st.dictionaries(KEY, TREE, max_size=6))
def test_a_random_document_either_loads_or_names_its_mistakes(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "random"
    as_toml = "\n".join(f"{toml(key)} = {toml(one)}" for key, one in tree.items())
    found = mistakes(path.with_suffix(".toml"), as_toml)
    found += mistakes(path.with_suffix(".yaml"), yaml.safe_dump(tree))
    assert [line for line in found if ": " not in line or not line.isprintable()] == []


@given(text=st.text(max_size=60) | st.text("[]{}=.\"'#\n:&*!|->%@` \t019aeE_+", max_size=60))
def test_a_random_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_toml, parse_yaml):
        with suppress(ValueError):
            assert isinstance(parse(text), dict)
