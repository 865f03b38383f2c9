#!/usr/bin/env bash
# The Debian package under a booted systemd, in a container of its own (`make systemd-test`): it starts when it is told to,
# a restart and an upgrade under load refuse nobody, and backup, rotation and the failure hook do what they say.
# Needs root, mmdebstrap and systemd-nspawn (systemd-container). Usage: booted.sh dist/fks-execution_*.deb
set -euo pipefail

deb=$(realpath "$1") here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
root=$work/root
nspawn=
stop() {
    [ -z "$nspawn" ] || { kill "$nspawn" && wait "$nspawn"; } 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap stop EXIT

say() { echo "--- $*"; }
fail() { echo "FAILED: $*" >&2; inside journalctl --no-pager -o cat -n 30 >&2; exit 1; }
leader() { pgrep -P "$nspawn" | tail -1; }
inside() {
    nsenter -t "$(leader)" -m -p -n -u -i -r env -i -C /root PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@" </dev/null
}
active() { [ "$(inside systemctl is-active "$1")" = active ] || fail "$1 is not active"; }
under_load() { # what is done while three senders post alerts; every one of them must be taken
    inside python3 /root/load.py /root/done >"$work/load" &
    local load=$!
    "$@" >"$work/told" 2>&1 || fail "$(cat "$work/told")"
    sleep 1 && touch "$root/root/done" && wait $load || fail "the senders: $(cat "$work/load")"
    rm "$root/root/done"
    cat "$work/load"
}

say "a clean root with systemd, booted"
mmdebstrap --quiet --variant=apt --skip=cleanup/apt --include=systemd,systemd-sysv,dbus,logrotate \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root"
cp "$deb" "$root/root/fks.deb"
cp "$here/load.py" "$root/root"
chroot "$root" apt-get install -y -qq /root/fks.deb >"$work/apt" 2>&1 || { cat "$work/apt"; exit 1; }
systemd-nspawn --quiet -D "$root" --boot --register=no --keep-unit --private-network --console=pipe </dev/null >/dev/null 2>&1 &
nspawn=$!
for _ in $(seq 100); do
    [ "$(inside systemctl is-system-running 2>/dev/null)" = running ] && break
    sleep 0.2
done

say "systemctl enable --now fks"
[ "$(inside systemctl is-enabled fks)" = disabled ] || fail "the installation enabled it"
sed -i 's/^rate = .*/rate = { burst = 10000, per_minute = 100000 }/' "$root/etc/fks/fks.toml"
inside systemctl enable --quiet --now fks
for unit in fks.service fks.socket fks-desk.socket; do active $unit; done
inside fks positions >/dev/null || fail "the commands of root do not reach the daemon"

say "a restart, then an upgrade under load"
under_load inside systemctl restart fks
before=$(inside systemctl show -P MainPID fks)
under_load inside apt-get install -y -qq --reinstall /root/fks.deb
active fks.service
[ "$before" != "$(inside systemctl show -P MainPID fks)" ] || fail "the upgrade left the old version running"

say "a credential, and a backup that needs it too"
install -m 600 /dev/stdin "$root/etc/fks/credentials/token" <<<a-token-that-only-root-may-read
sed -i 's/^#admin_token = .*/admin_token = "${credential:token}"/; s/^#secrets_dir/secrets_dir/' "$root/etc/fks/fks.toml"
install -D /dev/stdin "$root/etc/systemd/system/fks.service.d/credentials.conf" <<<'[Service]
LoadCredential=token:/etc/fks/credentials/token'
inside systemctl daemon-reload
inside systemctl restart fks
inside fks positions >/dev/null || fail "the token is not the credential"
inside systemctl start fks-backup || fail "no backup"
[ -s "$(echo "$root"/var/backups/fks/fks-*.db)" ] || fail "no backup"
[ "$(stat -c %u:%a "$root"/var/backups/fks "$root"/var/backups/fks/fks-*.db | xargs)" = "0:700 0:600" ] || fail "the backup is not root's alone"

say "a backup while it is stopped, and one brought back by root: it starts with both"
inside systemctl stop fks.socket fks-desk.socket fks
inside systemctl start fks-backup || fail "no backup while it is stopped"
inside systemctl start fks
active fks.service
inside systemctl stop fks.socket fks-desk.socket fks
inside sh -c 'fks journal restore --yes "$(ls /var/backups/fks/fks-*.db | tail -1)"' || fail "no restore"
inside systemctl start fks
active fks.service
inside fks resume

say "logrotate"
inside logrotate -f /etc/logrotate.d/fks || fail "logrotate"
under_load true
records() { inside sh -c "cat /var/lib/fks/$1 | wc -l"; }
[ "$(records 'audit.jsonl-*')" -gt 0 ] && [ "$(records audit.jsonl)" -gt 0 ] || fail "the new file is empty"
inside fks audit verify
inside fks journal verify

say "an instance whose configuration is wrong says so"
echo 'nonsense = 1' >"$root/etc/fks/bad.toml"
inside systemctl start fks@bad 2>/dev/null && fail "it started"
sleep 1
inside journalctl --no-pager -o cat -t fks-failure | grep "^fks@bad has failed" || fail "nobody was told"

say "removal stops it"
inside apt-get remove -y -qq fks-execution >/dev/null 2>&1
[ "$(inside systemctl is-active fks.service fks.socket | sort -u)" = inactive ] || fail "it still runs"
say "all is well"
