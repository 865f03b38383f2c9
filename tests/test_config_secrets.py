"""References to the environment and to credentials, and that no secret is shown."""

from pathlib import Path

import pytest

from config_cases import CANARY, errors, no_usual_places, read  # noqa: F401 - a fixture
from fks.infra.config import load
from fks.infra.config_decode import Opaque

# --- references


def test_references_work_inside_longer_texts_and_double_dollars_are_dollars(tmp_path: Path) -> None:
    text = 'webhook.secrets = ["a${ONE}-${TWO}", "$$x", "p$w", "$${ONE}"]'
    secrets = read(tmp_path, text, {"ONE": "1", "TWO": "${ONE}"}).settings.webhook.secrets
    assert [one.secret.reveal() for one in secrets] == ["a1-${ONE}", "$x", "p$w", "${ONE}"]


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
    assert [one.secret.reveal() for one in secrets] == ["run-a ", "own-b "]


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


# --- secrets


@pytest.mark.fault(60)
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
