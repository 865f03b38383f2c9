"""The examples in etc/ with the programs that read them, where installed (proxies: test_proxies.py)."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fks.domain.addresses import TRADINGVIEW
from fks.domain.settings import ServerSettings
from fks.infra.audit import verify
from process import TESTS, Daemon, running, until

ETC = TESTS.parent / "etc"
FILTER, JAIL = ETC / "fail2ban/filter.d/fks.conf", ETC / "fail2ban/jail.d/fks.conf"


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def test_every_file_is_used_by_a_test() -> None:
    files = [
        path for folder in ("etc", "systemd") for path in (ETC.parent / folder).rglob("*") if path.is_file()
    ]
    names = [path.name for path in files]
    tests = "".join(path.read_text() for path in TESTS.glob("*.py"))
    for path in files:
        told = path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        assert told in tests, f"no test names {path}"


# --- logrotate


@pytest.mark.real_time
def test_a_rotated_audit_trail_goes_on_in_the_new_file(tmp_path: Path) -> None:
    need("logrotate")
    with running(tmp_path) as daemon:
        assert daemon.process is not None
        assert daemon.alert().status == 200
        audit = tmp_path / "audit.jsonl"
        told_the_daemon = re.compile(r"systemctl kill --signal=HUP --kill-whom=main .*")
        text = (ETC / "logrotate.d" / "fks").read_text()
        text = text.replace("/var/lib/private/fks/audit.jsonl", str(audit))
        text, count = told_the_daemon.subn(f"kill -HUP {daemon.process.pid}", text)
        assert count == 1
        (tmp_path / "logrotate.conf").write_text(text)
        (tmp_path / "logrotate.conf").chmod(0o644)
        before = audit.stat()
        state = str(tmp_path / "logrotate.state")
        command = ["logrotate", "--force", "--state", state, str(tmp_path / "logrotate.conf")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        daemon.await_event("signal_received")
        assert daemon.alert().status == 200
        until_written(audit)
        (rotated,) = tmp_path.glob("audit.jsonl-*")
        assert (audit.stat().st_mode, audit.stat().st_uid) == (before.st_mode, before.st_uid)
        assert rotated.stat().st_ino == before.st_ino, "it is moved: a copy could miss what comes meanwhile"
        assert verify([audit]).problems == (), "a file that does not begin with record 1"
        assert daemon.stop() == 0
    both = verify([rotated, audit])
    assert both.problems == ()
    assert both.records == len(rotated.read_bytes().splitlines()) + len(audit.read_bytes().splitlines())


def until_written(path: Path) -> None:
    until(lambda: path.stat().st_size, f"something in {path}")


# --- fail2ban


@pytest.fixture(scope="module")
def denied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of the real daemon behind a trusted proxy, to which senders of all kinds came."""
    allow = 'allow = ["127.0.0.0/8", "203.0.113.0/24", "2001:db8::/32", "198.51.100.66/32"]'
    daemon = Daemon(tmp_path_factory.mktemp("denied"))
    text = daemon.config.read_text().replace("[webhook]", f"[webhook]\n{allow}")
    daemon.config.write_text(text.replace("[server]", '[server]\ntrusted_proxies = ["127.0.0.0/8"]'))
    daemon.start()
    try:
        for forwarded in (
            "198.51.100.66, 203.0.113.7",  # what the sender says of himself, then what the proxy saw
            "2001:db8::7",
            "192.0.2.1",  # may not send at all
            '203.0.113.8","reason":"authentication","unrecorded":0}',
            'x","address":"198.51.100.66',
        ):
            daemon.post(b"{}", {"X-Signature": "0" * 64, "X-Forwarded-For": forwarded})
        forged = '{"time":"","level":"warning","event":"webhook_denied","actor":"front",'
        forged += '"address":"198.51.100.66","reason":"authentication","unrecorded":0}'
        assert daemon.alert(symbol=forged).status == 400
        assert daemon.alert(strategy=forged).status == 200
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    assert daemon.log.read_text().count("198.51.100.66") > 2, "or this proves nothing"
    return daemon.log


GUESSERS = ["203.0.113.7", "2001:db8::7", "192.0.2.1"]


@pytest.mark.real_time
@pytest.mark.parametrize("prefix", ["", "vm fks[123]: "], ids=["file", "journal"])
def test_only_who_was_denied_is_found(denied: Path, prefix: str) -> None:
    pattern = re.compile(option(FILTER, "failregex").replace("<ADDR>", "(?P<address>[0-9a-f.:]+)"))
    found = [pattern.search(prefix + line) for line in denied.read_text().splitlines()]
    assert [match["address"] for match in found if match] == GUESSERS


@pytest.mark.real_time
def test_fail2ban_finds_the_same(denied: Path) -> None:
    need("fail2ban-regex")
    command = ["fail2ban-regex", "--out", "ip", str(denied), str(FILTER)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.stdout.split() == GUESSERS, told.stderr


def test_the_jail_is_one_and_never_bans_who_sends_your_alerts_too(tmp_path: Path) -> None:
    ignored = option(JAIL, "ignoreip").split()
    assert {address.removesuffix("/32") for address in TRADINGVIEW} <= set(ignored)
    assert option(JAIL, "filter") == FILTER.stem
    need("fail2ban-client")
    shutil.copytree("/etc/fail2ban", tmp_path / "fail2ban")
    for path in (FILTER, JAIL):
        shutil.copy(path, tmp_path / "fail2ban" / path.parent.name)
    command = ["fail2ban-client", "-c", str(tmp_path / "fail2ban"), "-d"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "['set', 'fks', 'addjournalmatch', '_SYSTEMD_UNIT=fks.service']" in told.stdout


def option(path: Path, name: str) -> str:
    parser = configparser.RawConfigParser()
    parser.read(path)
    return next(parser[section][name] for section in parser.sections() if name in parser[section])


# --- Prometheus


def test_prometheus_scrapes_the_desk() -> None:
    scrape = ETC / "prometheus" / "scrape.yml"
    (job,) = yaml.safe_load(scrape.read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": list(ServerSettings().admin)}]
    need("promtool")
    subprocess.run(["promtool", "check", "config", str(scrape)], check=True, capture_output=True)
