#!/usr/bin/env bash
# Debian packages that parts of the test suite use. As root on a system with apt they are installed; otherwise the
# missing ones are named and the tests that need them skip and say so.
set -eu
packages=(
  kamailio kamailio-python3-modules kamailio-extra-modules sip-tester # a real SBC and real endpoints
  chromium-headless-shell fonts-dejavu-core                          # the console in a real browser
  dnsperf bind9-dnsutils knot-dnsutils ldnsutils nsd dnsdist                 # DNS load, clients, a server to compare with
  procps iproute2
  systemd                                                            # checks the units; it does not have to run
  openssh-server openssh-client rsync                                # the way to a standby
  patroni etcd-server postgresql                                     # an external database that switches its primary
  snmptrapd snmp                                                     # receives the alerts' traps
  slapd ldap-utils                                                   # a directory to sign in with
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  printf '==> Debian packages for the tests: %s\n' "${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # The tests start what they need themselves, on ports of their own: keep package services from starting.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  printf '==> Not installed, the tests that need them will be skipped: %s\n' "${missing[*]}"
fi
