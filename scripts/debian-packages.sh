#!/bin/sh
# Installs the Debian packages the tests need: a browser, a real InfluxDB, libmodbus as an independent Modbus peer.
# Quick and quiet when all is there. InfluxDB is never started as a service: the tests start it themselves on loopback.
#
#   scripts/debian-packages.sh           install what is missing (root or sudo), or say what to run
#   scripts/debian-packages.sh --unpack  without root: unpack influxdb into .cache/ (the others need root)
set -eu

packages="chromium fonts-dejavu-core influxdb libmodbus5 libmodbus-dev"
here=$(cd "$(dirname "$0")/.." && pwd)
cache="$here/.cache/debian"

installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

unpack_influxdb() {
    [ -x "$cache/usr/bin/influxd" ] && return 0
    mkdir -p "$cache"
    (cd "$cache" && apt-get --quiet --quiet download influxdb && dpkg --extract influxdb_*.deb . && rm -f influxdb_*.deb)
}

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "debian-packages: this is not Debian or Ubuntu; install by other means: $packages" >&2
    exit 1
fi

if [ "${1:-}" = --unpack ]; then
    unpack_influxdb
    exit 0
fi

missing=
for package in $packages; do
    installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo=sudo
else
    echo "debian-packages: missing:$missing" >&2
    echo "debian-packages: run: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# A policy that forbids starting services while packages are installed: the tests want the program, not a daemon.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi

log=$(mktemp)
echo "debian-packages: installing$missing"
# shellcheck disable=SC2086  # the list is split on purpose
if ! { $sudo env DEBIAN_FRONTEND=noninteractive apt-get --quiet install --yes --no-install-recommends $missing >"$log" 2>&1 ||
    { $sudo apt-get --quiet update >>"$log" 2>&1 &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get --quiet install --yes --no-install-recommends $missing >>"$log" 2>&1; }; }
then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "debian-packages: failed; run: sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
rm -f "$log"
