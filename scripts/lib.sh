# shellcheck shell=bash
# What the scripts share: where things are, and installing what is missing.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The database of scripts/run, which scripts/db operates.
# shellcheck disable=SC2034 # Used by the scripts.
folder=$root/.daruma
release=$root/.build/release

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 69 # EX_UNAVAILABLE
}

has_server() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}

has_libpq() {
    [[ -e /usr/include/postgresql/libpq-fe.h ]] || { command -v pkg-config >/dev/null && pkg-config --exists libpq; }
}

# Debian's python3-minimal has the command without most of its library; this is a part of what the scripts import.
has_python() {
    python3 -c 'import argparse, http.client, http.server, json, select, subprocess, zipfile' 2>/dev/null
}

# need THING...: installs those that are missing. Things are: build, server, python3 with its library, venv and pip
# (Python's), or the name of a command.
need() {
    local missing=() thing
    for thing in "$@"; do
        case $thing in
        build)
            command -v swift >/dev/null || fail "the Swift 6.3 toolchain is missing: https://www.swift.org/install/linux/"
            command -v pkg-config >/dev/null || missing+=(pkg-config)
            has_libpq || missing+=(libpq-dev)
            ;;
        server) has_server || missing+=(postgresql) ;;
        systemd-*) command -v "$thing" >/dev/null || missing+=(systemd) ;;
        python3) has_python || missing+=(python3) ;;
        pip) python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip) ;;
        venv) python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv) ;;
        *) command -v "$thing" >/dev/null || [[ -x /usr/sbin/$thing ]] || missing+=("$(package_of "$thing")") ;;
        esac
    done
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# The Debian package of a command.
package_of() {
    case $1 in
    h2load) printf 'nghttp2-client\n' ;;
    ip) printf 'iproute2\n' ;;
    nginx) printf 'nginx-light\n' ;;
    node) printf 'nodejs\n' ;;
    strip) printf 'binutils\n' ;;
    taskset | unshare) printf 'util-linux\n' ;;
    *) printf '%s\n' "$1" ;;
    esac
}

# as_root COMMAND...
as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

install_packages() {
    command -v apt-get >/dev/null || fail "please install: $*"
    if ((EUID != 0)); then
        # Asking for a password needs somebody to ask.
        if ! command -v sudo >/dev/null || ! { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
            fail "please install, as root: $*"
        fi
    fi
    printf 'installing: %s\n' "$*" >&2
    # Debian's packages start what they install, and PostgreSQL's makes a cluster; all that is wanted here is the
    # programs.
    local policy=/usr/sbin/policy-rc.d made_policy=
    if [[ ! -e $policy ]]; then
        made_policy=yes
        as_root tee "$policy" >/dev/null <<<$'#!/bin/sh\nexit 101'
        as_root chmod 755 "$policy"
    fi
    local no_cluster=/etc/postgresql-common/createcluster.d/daruma.conf
    if [[ " $* " == *' postgresql '* ]]; then
        as_root mkdir -p "${no_cluster%/*}"
        as_root tee "$no_cluster" >/dev/null <<<'create_main_cluster = false'
    fi
    local status=0
    {
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
    } >&2 || status=$?
    if [[ -n $made_policy ]]; then as_root rm -f "$policy"; fi
    if command -v systemctl >/dev/null; then
        # Nor at the next boot. Most of the packages have no service, which is no failure.
        local package
        for package in "$@"; do as_root systemctl disable "$package" >/dev/null 2>&1 || true; done
    fi
    if [[ " $* " == *' postgresql '* ]]; then as_root rm -f "$no_cluster"; fi
    ((status == 0)) || fail "apt-get could not install: $*"
}

# build_release PRODUCT...
build_release() {
    local product
    for product in "$@"; do "$root/scripts/build-release" --product "$product" >&2; done
}

# The lab, built if it is not there. (A switch must not wait for the compiler each time.)
lab() {
    if [[ ! -x $release/daruma-lab ]]; then
        need build
        build_release daruma-lab
    fi
    "$release/daruma-lab" "$@"
}
