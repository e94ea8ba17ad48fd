# shellcheck shell=bash
# What the peers' scripts share. Each peer is a folder with `build`, which installs and builds it or says
# why it cannot, and `run`, which serves on PORT of the loopback address with DATABASE_URL.

# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

peer=$(cd "$(dirname "$0")" && pwd)
# Where it is built to.
# shellcheck disable=SC2034 # Used by the scripts.
built=$root/.build/peers/${peer##*/}

# has_package NAME...: Debian packages that are installed.
has_package() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query --show --showformat '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || return 1
    done
}

# need_package NAME...
need_package() { has_package "$@" || install_packages "$@"; }

# build_go PACKAGE: with Debian's Go and Debian's libraries, without asking the network. What the peers in Go share is in
# the folder go.
build_go() {
    need_package golang-go "$1"
    mkdir -p "$built"
    GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS='' GOCACHE="$built/cache" \
        go build -o "$built/server" "$peer/main.go"
}
