# shellcheck shell=bash
# What the scripts share: where things are, and what they need of the machine.

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

swift_is_missing='the Swift 6.3 toolchain is missing: https://www.swift.org/install/linux/'
# By its version: an older compiler fails in the middle of a build.
has_swift() {
    local version
    version=$(swift --version 2>/dev/null | sed -nE 's/.*Swift version ([0-9]+\.[0-9]+).*/\1/p')
    [[ -n $version ]] && printf '6.3\n%s\n' "$version" | sort --version-sort --check=silent
}

# The programs that the lab starts, in one folder, as it looks for them.
has_server() {
    local folder folders
    IFS=: read -ra folders <<<"$PATH"
    for folder in "${folders[@]}" /usr/lib/postgresql/*/bin "$(pg_config --bindir 2>/dev/null || true)"; do
        [[ ! -x $folder/initdb || ! -x $folder/postgres || ! -x $folder/psql ]] || return 0
    done
    return 1
}

has_libpq() {
    [[ -e /usr/include/postgresql/libpq-fe.h ]] || { command -v pkg-config >/dev/null && pkg-config --exists libpq; }
}

# Debian's python3-minimal has the command without most of its library; this is a part of what the scripts import.
has_python() {
    python3 -c 'import argparse, http.client, http.server, json, select, subprocess, zipfile' 2>/dev/null
}

# What scripts/setup installs, by group; `need` takes these names as well. scripts/test ends with scripts/bench gate, which
# needs valgrind and strip.
declare -A groups=(
    [run]='build server'
    [test]='build server prometheus haproxy pgbouncer systemd-socket-activate python3 chromium openssl valgrind strip'
    [all]='run test curl debootstrap etcd faketime h2load hey ip nginx node patroni pip shellcheck strace systemd-analyze
        taskset unshare venv wrk'
)

# things_of NAME...: the things themselves, instead of groups.
things_of() {
    local name
    for name in "$@"; do
        # shellcheck disable=SC2086 # Words.
        if [[ -n ${groups[$name]-} ]]; then things_of ${groups[$name]}; else printf '%s\n' "$name"; fi
    done
}

# missing_packages THING...: prints the packages of those that are missing, each once. Things are: build, server, prometheus
# with promtool, python3 with its library, venv and pip (Python's), patroni with its etcd client, or the name of a command;
# or a group of them.
missing_packages() {
    local thing
    for thing in $(things_of "$@"); do
        case $thing in
        build)
            command -v pkg-config >/dev/null || printf 'pkg-config\n'
            has_libpq || printf 'libpq-dev\n'
            ;;
        server) has_server || printf 'postgresql\n' ;;
        systemd-*) command -v "$thing" >/dev/null || printf 'systemd\n' ;;
        prometheus) { command -v prometheus && command -v promtool; } >/dev/null || printf 'prometheus\n' ;;
        python3) has_python || printf 'python3\n' ;;
        patroni)
            command -v patroni >/dev/null || printf 'patroni\n'
            # Patroni only suggests it.
            [[ -d /usr/lib/python3/dist-packages/etcd ]] || printf 'python3-etcd\n'
            ;;
        pip) python3 -m pip --version >/dev/null 2>&1 || printf 'python3-pip\n' ;;
        venv) python3 -c 'import ensurepip, venv' 2>/dev/null || printf 'python3-venv\n' ;;
        *) command -v "$thing" >/dev/null || [[ -x /usr/sbin/$thing ]] || package_of "$thing" ;;
        esac
    done | sort --unique
}

# need THING...: installs those that are missing, by scripts/setup, which says so first.
need() {
    local missing
    if things_of "$@" | grep --line-regexp build >/dev/null; then has_swift || fail "$swift_is_missing"; fi
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# install_packages PACKAGE...
install_packages() { "$root/scripts/setup" --packages "$@" >&2; }

# The Debian package of a command.
package_of() {
    case $1 in
    etcd) printf 'etcd-server\n' ;;
    h2load) printf 'nghttp2-client\n' ;;
    ip) printf 'iproute2\n' ;;
    nginx) printf 'nginx-light\n' ;;
    node) printf 'nodejs\n' ;;
    strip) printf 'binutils\n' ;;
    taskset | unshare) printf 'util-linux\n' ;;
    *) printf '%s\n' "$1" ;;
    esac
}

# failures LOG [MOST]: which tests failed, and where and why, from lines that begin with "LANE: ". Each once, with all lanes
# that said it; at most MOST lines (40).
failures() {
    awk -v most="${2:-40}" '
        function keep(key) {
            if (!(key in lanes)) {
                order[++count] = key
                lanes[key] = lane
            } else if (index(", " lanes[key] ",", ", " lane ",") == 0) {
                lanes[key] = lanes[key] ", " lane
            }
            return key
        }
        {
            lane = $1
            sub(/:$/, "", lane)
            text = substr($0, length($1) + 2)
        }
        # What an issue expected follows it.
        text ~ /^↳ / {
            key = open[lane]
            if (key != "" && details[key] < 3 && !(key in complete)) more[key, ++details[key]] = text
            next
        }
        open[lane] != "" {
            complete[open[lane]] = 1
            open[lane] = ""
        }
        text ~ /^✘ .* recorded an issue/ { open[lane] = keep(text) }
        text ~ /^✘ Test .* failed after / && text !~ /^✘ Test (case|run with) / {
            sub(/ failed after .*/, " failed", text)
            keep(text)
        }
        text ~ /^✘ no result/ || text ~ /^above the baseline/ { keep(text) }
        END {
            for (i = 1; i <= count; i++) {
                key = order[i]
                lines[++total] = lanes[key] ": " substr(key, 1, 600)
                for (j = 1; j <= details[key]; j++) lines[++total] = lanes[key] ":   " substr(more[key, j], 1, 600)
            }
            for (i = 1; i <= total && (i < most || total <= most); i++) print lines[i]
            if (total > most) printf "… and %d more lines\n", total - most + 1
        }' "$1"
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
