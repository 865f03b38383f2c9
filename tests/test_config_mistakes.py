"""Every mistake in a configuration is named, with its key and its cure."""

from decimal import Decimal
from pathlib import Path
from typing import get_args, get_origin

import msgspec
import pytest

from config_cases import errors, no_usual_places, read  # noqa: F401 - a fixture
from fks.domain.settings import Settings
from fks.infra.config import ConfigError, load
from fks.infra.config_rules import KEYS, VALUES

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
    ('sizing.atr_timeframe = "1M"', "sizing.atr_timeframe: is not a timeframe (write 1m, 1h, 1d, ...)"),
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
    ("sizing.kelly.min_trades = 0", "sizing.kelly.min_trades: must be at least 1 (raise it)"),
    ("sizing.kelly.payoff = 0", "sizing.kelly.payoff: must be above 0 (raise it)"),
    ("risk.max_daily_loss = -1", "risk.max_daily_loss: must be at least 0 (raise it)"),
    ("risk.cooldown_s = -1", "risk.cooldown_s: must be at least 0 (raise it)"),
    (
        'risk.denied = ["BTCUSDT"]',
        "risk.denied[0]: is not a market (write BASE/QUOTE or BASE/QUOTE:SETTLE)",
    ),
    (
        'risk.symbols = { BTC = { max_order_notional = 5 } }',
        "risk.symbols.BTC: the key is not a market (write BASE/QUOTE or BASE/QUOTE:SETTLE)",
    ),
    (
        'risk.symbols."BTC/USDT".max_open_orders = -1',
        'risk.symbols."BTC/USDT".max_open_orders: must be at least 0 (raise it)',
    ),
    (
        'risk.hours = ["09:00-17:00", "mon-fri 9-17"]',
        "risk.hours[1]: is no time window (write days and UTC times, such as mon-fri 08:00-17:00)",
    ),
    (
        'risk.hours = ["mon-fry"]',
        "risk.hours[0]: has a day that is none of mon, tue, wed, thu, fri, sat, sun "
        "(write days and UTC times, such as mon-fri 08:00-17:00)",
    ),
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
    ('notify.on = ["filed"]', "notify.on[0]: is not a notification (did you mean filled?)"),
    ('notify.daily_at = "8:00"', "notify.daily_at: is not a time of day (write HH:MM, such as 08:00)"),
    (
        'notify.timezone = "Mars/Olympus"',
        "notify.timezone: is not a time zone of this machine (write Europe/Berlin, or nothing for UTC)",
    ),
    ("notify.per_minute = 0", "notify.per_minute: must be above 0 (raise it)"),
    ("notify.digest_s = -1", "notify.digest_s: must be at least 0 (raise it)"),
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


def test_what_is_probably_not_meant_is_warned_of(tmp_path: Path) -> None:
    text = 'webhook = { max_age_s = 20, wait_s = 3, secrets = ["short"] }'
    keys = [line.split(":")[0] for line in read(tmp_path, text).warnings]
    assert keys == ["webhook.max_age_s", "webhook.wait_s", "webhook.secrets[0]"]


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
