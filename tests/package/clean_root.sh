#!/usr/bin/env bash
# The Debian package in a clean root: what a user of apt gets, keeps on an upgrade, and gets rid of (`make deb-test`).
# Needs root and mmdebstrap (Debian's package). Usage: clean_root.sh dist/fks-execution_*.deb
set -euo pipefail

deb=$(realpath "$1")
[ "${ISOLATED:-}" ] || exec env ISOLATED=1 unshare --mount --pid --fork "$0" "$deb" # no mount and no process outlives it
work=$(mktemp -d)
root=$work/root
cleanup() { # the mounts first: nothing of the machine's own may be deleted through them
    umount "$root/proc" 2>/dev/null || true
    mountpoint -q "$root/proc" || rm -rf --one-file-system "$work"
}
trap cleanup EXIT

say() { echo "--- $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
into=(chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive)
inside() { "${into[@]}" "$@"; }
apt() { inside apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"; }
state() { [ -e "$root/var/lib/fks/$1" ]; }

say "a clean $(. /etc/os-release && echo "$VERSION_CODENAME")"
mmdebstrap --quiet --variant=apt --skip=cleanup/apt "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root"
mount -t proc proc "$root/proc"

say "an older version, whose example configuration was another one"
dpkg-deb -R "$deb" "$work/older"
sed -i 's/^Version: .*/Version: 0.0.1/' "$work/older/DEBIAN/control"
sed -i '1s/.*/# the example of the older version/' "$work/older/etc/fks/fks.toml"
touch "$work/older/opt/fks/lib/python3.11/site-packages/fks/of_the_older_version.py"
dpkg-deb --root-owner-group -Znone -b "$work/older" "$root/root/older.deb" >/dev/null
cp "$deb" "$root/root/newer.deb"

say "apt install"
apt install /root/older.deb >"$work/apt" 2>&1 || fail "$(cat "$work/apt")"
grep "^fks:" "$work/apt"
inside fks --version
inside fks check | grep "^journal  *\/var\/lib\/fks\/fks.db$" || fail "fks check does not read /etc/fks/fks.toml"
inside fks demo --once | grep -A 6 ^Orders
inside sh -c 'command -v cc gcc pip' && fail "a compiler or pip came along"

say "every file in its place"
for file in lib/systemd/system/fks.service lib/systemd/system/fks@.service lib/systemd/system/fks.socket \
    lib/systemd/system/fks-desk.socket lib/systemd/system/fks-backup.timer lib/systemd/system/fks-failure@.service \
    etc/fks/fks.toml etc/logrotate.d/fks usr/share/man/man1/fks.1.gz usr/share/bash-completion/completions/fks \
    usr/share/zsh/vendor-completions/_fks usr/share/fish/vendor_completions.d/fks.fish \
    usr/share/doc/fks-execution/examples/Caddyfile; do
    [ "$(stat -c '%U %a' "$root/$file")" = "root 644" ] || fail "$file"
done
[ "$(stat -c '%U %a' "$root/etc/fks/credentials")" = "root 700" ] || fail "credentials are not private"
[ -z "$(find "$root/etc/systemd" -name 'fks*')" ] || fail "something was enabled"
[ -n "$(find "$root/opt/fks" -name '*.pyc' -print -quit)" ] || fail "no bytecode"
grep -rlI "$(dirname "$(dirname "$deb")")" "$root/opt/fks" --include='*.py' --include=fks --include='*.cfg' && fail "a path of the build"

say "an upgrade keeps the configuration and the state"
inside sed -i 's/^min_confidence = 0.6 /min_confidence = 0.7 /' /etc/fks/fks.toml
mine=$(sha256sum <"$root/etc/fks/fks.toml")
"${into[@]}" fks run --config /etc/fks/fks.toml >"$work/log" & # makes the state
daemon=$!
for _ in $(seq 100); do grep -q daemon_started "$work/log" && break; sleep 0.1; done
inside sh -c 'fks template | fks lint' >/dev/null 2>&1 || fail "the installed commands do not find the daemon"
inside sh -c 'fks template | fks send -' >/dev/null 2>&1 || fail "no alert was taken"
kill -TERM $daemon && wait $daemon
verified=$(inside fks journal verify)
apt install /root/newer.deb >"$work/apt" 2>&1 || fail "$(cat "$work/apt")"
[ "$(inside dpkg-query -W -f '${Version}' fks-execution)" != 0.0.1 ] || fail "no upgrade"
[ "$mine" = "$(sha256sum <"$root/etc/fks/fks.toml")" ] || fail "the configuration was changed"
[ "$verified" = "$(inside fks journal verify)" ] || fail "the journal was changed"
find "$root/opt/fks" -name 'of_the_older_version*' | grep . && fail "something of the older version stays"

say "removal leaves what is the user's, purge does not"
mkdir -p "$root/var/backups/fks"
apt remove fks-execution >"$work/apt" 2>&1 || fail "$(cat "$work/apt")"
[ ! -e "$root/opt/fks" ] || fail "still there: $(find "$root/opt/fks" | head -3)"
state fks.db && state audit.jsonl && [ -e "$root/etc/fks/fks.toml" ] || fail "removal took the state or the configuration"
apt purge fks-execution >"$work/apt" 2>&1 || fail "$(cat "$work/apt")"
state . && fail "purge left the state"
[ ! -e "$root/etc/fks" ] && [ -e "$root/var/backups/fks" ] || fail "purge: the configuration goes, the backups stay"
say "all is well: $(du -h "$deb" | cut -f1) package"
