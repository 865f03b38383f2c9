"""What `fks doctor` asks of this machine: clock, disk, files, systemd, and who listens where."""

import errno
import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fks.cli.connection import request, url_of

if TYPE_CHECKING:
    from fks.domain.diagnosis import Finding, Judgement
    from fks.domain.settings import Settings
    from fks.infra.config import Loaded

PROBE_S = 2.0
SOCKETS = ("fks.socket", "fks-desk.socket")


def machine(loaded: "Loaded") -> Iterator["Finding"]:
    """The clock, and the disk of the state directory."""
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.domain.diagnosis_machine import judge_fsync, judge_space, judge_time_service
    from fks.infra.disk_usage import disk_usage
    from fks.infra.machine import fsync_seconds, time_service

    yield judge_time_service(*time_service()).of("machine", "clock")
    where = f"state {loaded.state_dir}"
    if not loaded.state_dir.is_dir():
        detail = "is not there yet: its disk is not measured"
        remedy = "the daemon makes it; if it has run, set $STATE_DIRECTORY as its service does (/var/lib/fks)"
        yield Judgement(Verdict.WARN, detail, remedy).of(where, "disk")
        return
    try:
        usage = disk_usage(loaded.journal_path, loaded.audit_path)
        yield judge_space(usage.free, usage.size, usage.files).of(where, "space")
        yield judge_fsync(fsync_seconds(loaded.state_dir)).of(where, "fsync")
    except OSError as error:
        yield _unasked(error).of(where, "disk")


def files(loaded: "Loaded") -> Iterator["Finding"]:
    """What the configuration warns of, and who else may read or change what the daemon goes by."""
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.infra.config import readable_by_all
    from fks.infra.credentials import ADMIN_TOKEN, WEBHOOK_SECRET

    told_below = readable_by_all(loaded.secret_files)
    for warning in loaded.warnings:
        if warning not in told_below:
            yield Judgement(Verdict.WARN, warning).of("configuration", "sense")
    if loaded.path is not None and loaded.path not in loaded.secret_files:
        yield _mode(loaded.path, secret=False).of("files", str(loaded.path))
    own = [loaded.state_dir / name for name in (ADMIN_TOKEN, WEBHOOK_SECRET)]
    for path in (*loaded.secret_files, loaded.state_dir, *own):
        if path in loaded.secret_files or _is_there(path):
            judged = _mode(path, secret=True)
            if judged.remedy and path == loaded.path:  # under systemd the daemon may not own it
                judged = replace(
                    judged, remedy=f"write ${{credential:NAME}} for its secrets, or {judged.remedy}"
                )
            yield judged.of("files", str(path))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # then its mode says that it cannot be asked


def _mode(path: Path, *, secret: bool) -> "Judgement":
    from fks.domain.diagnosis_machine import judge_mode

    try:
        return judge_mode(path.stat().st_mode, secret=secret, folder=path.is_dir())
    except OSError as error:
        return _unasked(error)


def _unasked(error: OSError) -> "Judgement":
    from fks.domain.diagnosis import Judgement, Verdict

    detail = f"cannot be looked at: {error.strerror or error}"
    return Judgement(Verdict.WARN, detail, "run this as the daemon's user, or as root")


def service(unit: str) -> Iterator["Finding"]:
    """The daemon as systemd sees it."""
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.domain.diagnosis_machine import exposure, judge_exposure, judge_socket, judge_unit
    from fks.infra.machine import has_systemd, unit_properties, unit_security

    if not has_systemd():
        detail = "does not run this machine: something else must start the daemon, and restart it"
        yield Judgement(Verdict.OK, detail).of("systemd", "unit")
        return
    properties = unit_properties(unit)
    for check, judgement in judge_unit(properties):
        yield judgement.of(f"systemd {unit}", check)
    if properties.get("LoadState") != "loaded":
        return
    score = exposure(unit_security(unit))
    if score is not None:
        yield judge_exposure(score).of(f"systemd {unit}", "hardening")
    for name in SOCKETS if unit == "fks.service" else ():
        yield judge_socket(unit_properties(name)).of(f"systemd {unit}", name)


def addresses(settings: "Settings") -> Iterator["Finding"]:
    """Who listens there, and who can reach it."""
    from fks.domain.reachability import judge_desk, judge_door, judge_proxies

    server = settings.server
    for role, listed, judge in (("door", server.listen, judge_door), ("desk", server.admin, judge_desk)):
        for address in listed:
            yield port(address).of(f"{role} {address}", "port")
            yield judge(address).of(f"{role} {address}", "reach")
    yield judge_proxies(server, settings.webhook).of("door", "proxy")


def port(address: str) -> "Judgement":
    """Who listens there: our daemon, nobody (then: could we?), or somebody else."""
    from fks.domain.diagnosis import Judgement, Verdict
    from fks.infra.sockets import BindError, bind

    free = Judgement(Verdict.OK, "free; the daemon does not run")
    if address.startswith("unix:"):  # not tried: it would leave a socket file behind
        path = Path(address.removeprefix("unix:"))
        if path.is_socket():
            return _who_answers(address)
        if path.exists():
            return Judgement(Verdict.FAIL, "a file that is no socket is there", "move it away")
        if os.access(path.parent, os.W_OK):
            return free
        detail = f"{path.parent} is not there, or not writable for this user"
        return Judgement(Verdict.FAIL, detail, "make the folder, writable for the daemon's user")
    try:
        bind(address).close()
    except BindError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            return _who_answers(address)
        return Judgement(Verdict.FAIL, str(error), "choose an address that this user may listen on")
    return free if not address.endswith(":0") else Judgement(Verdict.OK, "any free port")


def _who_answers(address: str) -> "Judgement":
    from fks.domain.diagnosis import Judgement, Verdict

    remedy = "stop it, or choose another address"
    try:
        reply = request(url_of(address), "GET", "/readyz", timeout=PROBE_S)
        told = json.loads(reply.body)
        ready, reasons = told.get("status") == "ready", told.get("reasons")
    except ConnectionRefusedError:
        if address.startswith("unix:"):
            return Judgement(Verdict.OK, "free, after a daemon that did not clean up")
        return Judgement(Verdict.FAIL, "in use by a process that does not listen", remedy)
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        detail = f"in use, and not by the daemon ({type(error).__name__}: {error})"
        return Judgement(Verdict.FAIL, detail, remedy)
    if reply.status == 200 and ready:
        return _health(address)
    if reply.status == 503 and reasons:
        detail = f"the daemon answers, and takes no alerts: {'; '.join(map(str, reasons))}"
        return Judgement(Verdict.WARN, detail, "`fks tail` shows why")
    return Judgement(Verdict.FAIL, f"in use, and not by the daemon (status {reply.status})", remedy)


def _health(address: str) -> "Judgement":
    """Ready it is; whether its journal answers, /healthz says."""
    from fks.domain.diagnosis import Judgement, Verdict

    try:
        status = request(url_of(address), "GET", "/healthz", timeout=PROBE_S).status
    except (OSError, http.client.HTTPException) as error:
        status, told = 0, f"{type(error).__name__}: {error}"
    else:
        told = f"/healthz says {status}"
    if status == 200:
        return Judgement(Verdict.OK, "the daemon answers, is healthy, and accepts alerts")
    detail = f"the daemon answers, and its journal does not ({told})"
    return Judgement(Verdict.FAIL, detail, "look at the disk and at `fks tail`; restart the daemon")
