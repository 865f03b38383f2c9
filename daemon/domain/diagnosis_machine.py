"""What measured facts of the machine mean for a daemon that trades on it: a verdict each, and a remedy."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from fks.domain.diagnosis import Judgement, Verdict

GB = 1e9
FULL_B, SCARCE_B = 0.1 * GB, 1 * GB
SLOW_MEDIAN_S, SLOW_S, STUCK_S = 0.02, 0.1, 1.0
EXPOSED = 3.0  # systemd's own words begin to complain above 4; our unit has 1.1

Found = Iterator[tuple[str, Judgement]]


def judge_time_service(synchronized: bool | None, error_s: float) -> Judgement:
    """`synchronized`: whether the kernel's clock is disciplined; None: it does not say. `error_s`: by at most
    so much it is wrong, as the kernel reckons (adjtimex(2), `maxerror`).
    """
    remedy = "run a time service (systemd-timesyncd, chrony); `timedatectl` then says: synchronized"
    if synchronized is None:
        detail = "whether the clock is synchronized cannot be told"
        return Judgement(Verdict.WARN, detail, "look at `timedatectl`")
    if not synchronized:
        detail = "no time service disciplines the clock: alerts and orders are judged by their age"
        return Judgement(Verdict.WARN, detail, remedy)
    return Judgement(Verdict.OK, f"synchronized, wrong by {error_s:.2g} s at most")


def judge_space(free: int, size: int, files: Mapping[str, int]) -> Judgement:
    """Bytes free, in all, and of the daemon's files. A backup needs the journal's size once more."""
    own = ", ".join(f"{name} {_megabytes(taken)}" for name, taken in files.items() if taken)
    detail = f"{free / GB:.1f} of {size / GB:.1f} GB free{f'; {own}' if own else ''}"
    if free < FULL_B:
        return Judgement(Verdict.FAIL, f"{detail}: alerts would be refused soon", "make room on this disk")
    needs = 2 * files.get("journal", 0)
    if free < max(SCARCE_B, needs):
        remedy = "make room; rotate the audit file, lower journal.retention_days, move old backups away"
        return Judgement(Verdict.WARN, detail, remedy)
    return Judgement(Verdict.OK, detail)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def judge_fsync(seconds: Sequence[float]) -> Judgement:
    """Of writes with fsync, as the journal does them. Each alert waits for one, each order for several."""
    ordered = sorted(seconds)
    median, late = ordered[len(ordered) // 2], ordered[math.ceil(0.99 * len(ordered)) - 1]
    detail = f"{len(ordered)} fsyncs: half within {median * 1e3:.1f} ms, 99 % within {late * 1e3:.1f} ms"
    remedy = "put the state directory on a local SSD; not on a network disk, and not beside a busy database"
    if late > STUCK_S:
        return Judgement(Verdict.FAIL, f"{detail}: senders give up after 3 s", remedy)
    if median > SLOW_MEDIAN_S or late > SLOW_S:
        return Judgement(Verdict.WARN, detail, remedy)
    return Judgement(Verdict.OK, detail)


def judge_mode(mode: int, *, secret: bool, folder: bool = False) -> Judgement:
    """The permission bits of a file that the daemon goes by; a `secret` one is nobody else's business."""
    detail = f"mode {mode & 0o777:04o}"
    remedy = f"chmod {'700' if folder else '600' if secret else '644'}"
    if mode & 0o022:
        return Judgement(Verdict.FAIL, f"{detail}: others may change it", remedy)
    if secret and mode & 0o007:
        return Judgement(Verdict.FAIL, f"{detail}: every user may read it", remedy)
    if secret and mode & 0o070:
        return Judgement(Verdict.WARN, f"{detail}: its group may read it", remedy)
    return Judgement(Verdict.OK, detail)


def judge_unit(unit: Mapping[str, str]) -> Found:
    """What `systemctl show` says of the daemon's service."""
    if unit.get("LoadState") != "loaded":
        detail = "there is no such unit: the daemon does not start with the machine, and nobody restarts it"
        yield "unit", Judgement(Verdict.WARN, detail, "install the files of systemd/, or name yours: --unit")
        return
    yield "unit", _state(unit)
    if unit.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        detail = "not enabled: after a reboot the daemon does not run"
        yield "start", Judgement(Verdict.WARN, detail, "systemctl enable fks")
    if unit.get("WatchdogUSec", "0") in ("", "0", "infinity"):
        detail = "no watchdog: a daemon that hangs is not restarted"
        yield "watchdog", Judgement(Verdict.WARN, detail, "set WatchdogSec=30 (see systemd/fks.service)")
    else:
        yield "watchdog", Judgement(Verdict.OK, f"restarted when silent for {unit['WatchdogUSec']}")
    if unit.get("NRestarts", "0") not in ("", "0"):
        detail = f"restarted {unit['NRestarts']} times by itself"
        yield "restarts", Judgement(Verdict.WARN, detail, "`journalctl -u fks` shows why")


def _state(unit: Mapping[str, str]) -> Judgement:
    match unit.get("ActiveState"):
        case "active":
            return Judgement(Verdict.OK, f"active ({unit.get('SubState', '')})")
        case "failed":
            detail = f"failed ({unit.get('Result', '')})"
            return Judgement(
                Verdict.FAIL, detail, "`journalctl -u fks -n 50` shows why; then systemctl restart fks"
            )
        case state:
            return Judgement(Verdict.WARN, f"{state}", "systemctl start fks")


def judge_socket(unit: Mapping[str, str]) -> Judgement:
    """Of a socket unit: while it listens, a restart of the daemon refuses nobody."""
    if unit.get("ActiveState") == "active":
        return Judgement(Verdict.OK, "systemd listens: a restart refuses nobody")
    detail = "systemd does not listen: during a restart senders are refused"
    return Judgement(Verdict.WARN, detail, "systemctl enable --now fks.socket fks-desk.socket")


def exposure(text: str) -> float | None:
    """The score in the answer of `systemd-analyze security`: 0 (sealed) to 10."""
    found = re.search(r"exposure level for \S+: ([0-9.]+)", text)
    return float(found[1]) if found else None


def judge_exposure(score: float) -> Judgement:
    if score > EXPOSED:
        detail = f"{score:g} of 10 (`systemd-analyze security`): who breaks in has much of the machine"
        return Judgement(Verdict.WARN, detail, "take the hardening of systemd/fks.service over: it has 1.1")
    return Judgement(Verdict.OK, f"{score:g} of 10 (0 is sealed)")
