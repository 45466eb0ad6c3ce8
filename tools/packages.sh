#!/bin/sh
# Install Debian packages without any of their servers starting or a system cluster being made.
# As root:  sh tools/packages.sh PACKAGE...
# What it changes meanwhile (start policy, cluster creation) it puts back, also when it is interrupted.
set -eu

policy=/usr/sbin/policy-rc.d
kept=$policy.before-gridwing
clusters=/etc/postgresql-common/createcluster.d
no_cluster=$clusters/gridwing-no-main-cluster.conf
had_mosquitto=$(command -v mosquitto || true)

log=$(mktemp)

put_back() {
    rm -f "$no_cluster"
    rmdir --ignore-fail-on-non-empty "$clusters" "$(dirname "$clusters")" 2>/dev/null || true
    if [ -e "$kept" ]; then
        mv -f "$kept" "$policy"
    elif grep -qs 'gridwing set-up' "$policy"; then
        rm -f "$policy"
    fi
}
trap 'put_back; rm -f "$log"' EXIT
trap 'exit 130' INT TERM HUP

# An earlier run that was killed may have left its own.
put_back
if [ -e "$policy" ]; then
    mv "$policy" "$kept"
fi
printf '#!/bin/sh\n# gridwing set-up: no server starts while packages are installed.\nexit 101\n' >"$policy"
chmod 755 "$policy"
mkdir -p "$clusters"
echo "create_main_cluster = false" >"$no_cluster"

export DEBIAN_FRONTEND=noninteractive
# What apt says is shown only when it fails.
apt() {
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any "$@" >>"$log" 2>&1
}
# Lists may be absent (fresh image) or old (packages moved on): try with what is there, then refresh.
if ! apt install --simulate --no-install-recommends "$@" || ! apt install --yes --no-install-recommends "$@"; then
    if ! apt update || ! apt install --yes --no-install-recommends "$@"; then
        cat "$log" >&2
        exit 1
    fi
fi

# Where systemd would start a new broker at the next boot, on the port that is not ours to take.
if [ -z "$had_mosquitto" ] && command -v systemctl >/dev/null && command -v mosquitto >/dev/null; then
    systemctl disable --quiet mosquitto.service 2>/dev/null || true
fi
