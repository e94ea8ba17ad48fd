# shellcheck shell=bash
# shellcheck disable=SC2154 # root is lib.sh's; work and token are the caller's.
#
# Usage, in this order: has_engine, or may_start_engine, read_sites, has_cache or make_cache, and then within the namespaces
# use_programs, start_engine, stop_engine.
#
# A container engine for scripts/docker-check: the machine's, or one of Debian's packages in namespaces of its own (network,
# mounts, processes). The latter ends with its first process, whatever happens, and leaves no rule, mount or process behind.
# Nothing is installed for it: its packages are unpacked into a cache beside the images that it cannot pull.

# RFC 5737: nobody's address.
name_server=192.0.2.53
cache=${XDG_CACHE_HOME:-$HOME/.cache}/daruma/engine
codename=$(sed -nE 's/^VERSION_CODENAME=(.*)/\1/p' /etc/os-release)
# Debian's mirrors, as apt has them here: a URL for each suite.
declare -A sites=()
# Debian 12 has neither compose nor buildx; the packages of the next release run on it.
declare -A engine_suites=([bookworm]=trixie)

# skip WHY: this machine cannot have an engine. Not a failure, and not a success.
skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}

has_engine() {
    docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1
}

# may_start_engine: says what is missing, if anything.
may_start_engine() {
    ((EUID == 0)) || { printf 'no container engine answers, and only root can start one'; return 1; }
    command -v apt-get >/dev/null || { printf 'no container engine answers, and there is no apt-get to bring one'; return 1; }
    grep --quiet --word-regexp overlay /proc/filesystems ||
        { printf 'no container engine answers, and this kernel has no overlay file system'; return 1; }
    unshare --net --mount --pid --fork --mount-proc true 2>/dev/null ||
        { printf 'no container engine answers, and this machine lets nobody make namespaces'; return 1; }
    [[ -w /sys/fs/cgroup ]] || { printf 'no container engine answers, and control groups are read-only here'; return 1; }
}

# read_sites: fails where apt has no mirror of the machine's own suite.
read_sites() {
    local site suite
    # shellcheck disable=SC2016 # Apt's variables.
    while read -r site suite; do
        [[ $suite != "$codename"* ]] || sites[$suite]=$site
    done < <(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Component: main')
    [[ -n ${sites[$codename]-} ]]
}

# private_apt SUITE COMMAND...: apt-get on one suite of the machine's mirror, with nothing of the machine's state.
private_apt() {
    local state=$cache/apt-$1
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "${sites[$codename]}" "$1" \
        >"$state/sources.list"
    apt-get --option Dir::Etc::sourcelist="$state/sources.list" --option Dir::Etc::sourceparts=/dev/null \
        --option Dir::State::lists="$state/lists" --option Dir::State::status="$state/status" \
        --option Dir::Cache="$state/cache" --option APT::Sandbox::User=root --quiet=2 "${@:2}"
}

# unpack SUITE PACKAGE...: into the folder of the engine's programs.
unpack() {
    local folder=$scratch/$1
    mkdir -p "$folder"
    private_apt "$1" update || return
    (cd "$folder" && private_apt "$1" download "${@:2}") || return
    local package
    for package in "$folder"/*.deb; do dpkg-deb --extract "$package" "$cache/new" || return; done
    rm -rf "$folder"
}

# make_programs: the engine, in the cache.
make_programs() {
    rm -rf "$cache/new" "$cache/programs"
    mkdir -p "$cache/new"
    # runc and iptables are linked with more of the system's libraries, so they come from the system's own suite.
    unpack "${engine_suites[$codename]-$codename}" docker.io docker-cli docker-compose docker-buildx containerd tini &&
        unpack "$codename" runc iptables libip4tc2 libip6tc2 libxtables12 libnftnl11 libmnl0 libnetfilter-conntrack3 \
            libnfnetlink0 libseccomp2 &&
        mv "$cache/new" "$cache/programs"
}

# use_programs: puts them on the path of what follows.
use_programs() {
    local library programs=$cache/programs
    library=$programs/usr/lib/$(uname -m)-linux-gnu
    export PATH=$programs/usr/sbin:$programs/usr/bin:$programs/sbin:$PATH
    export LD_LIBRARY_PATH=$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} XTABLES_LIBDIR=$library/xtables
    export DOCKER_CONFIG=$work/config DOCKER_HOST=unix://$work/docker.sock
    unset DOCKER_CONTEXT
    mkdir -p "$DOCKER_CONFIG/cli-plugins"
    ln -sf "$programs"/usr/libexec/docker/cli-plugins/* "$DOCKER_CONFIG/cli-plugins/"
    ln -sf "$(command -v iptables-nft)" "$work/iptables"
    ln -sf "$(command -v ip6tables-nft)" "$work/ip6tables"
    PATH=$work:$PATH
}

# start_engine: within the namespaces.
start_engine() {
    local ready
    ip link set lo up
    # The internet knows no `postgres`; this name server answers just that, and containers have no other.
    ip address add "$name_server/32" dev lo
    python3 "$root/scripts/docker/no-names.py" "$name_server" &
    dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" --host "$DOCKER_HOST" \
        --dns "$name_server" --cgroup-parent "/daruma-check-$token" >"$work/dockerd.log" 2>&1 &
    engine=$!
    for ((ready = 0; ready < 300; ready++)); do
        ! docker info >/dev/null 2>&1 || return 0
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$work/dockerd.log" >&2
    return 1
}

stop_engine() {
    kill -TERM "$engine" 2>/dev/null || return 0
    wait "$engine" || true
}

# bootstrap SUITE FOLDER: a minimal Debian, as the official images have it.
bootstrap() {
    debootstrap --variant=minbase "$1" "$2" "${sites[$codename]}" || return
    # As in Debian's images: no caches, no translations.
    printf 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };\n' \
        >"$2/etc/apt/apt.conf.d/docker-clean"
    printf 'Acquire::Languages "none";\n' >"$2/etc/apt/apt.conf.d/docker-no-languages"
    printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
    chmod 755 "$2/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$2/etc/resolv.conf"
}

# in_root FOLDER COMMAND...
in_root() { DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$@"; }

# make_debian ARCHIVE PACKAGE...: debian:bookworm-slim. An engine in a network of its own reaches no mirror, so the
# packages that the Dockerfile names lie in the image, as a repository that its apt-get finds.
make_debian() {
    local folder=$scratch/debian suite package
    bootstrap "$codename" "$folder" || return
    rm -f "$folder/etc/apt/sources.list"
    for suite in "${!sites[@]}"; do printf 'deb %s %s main\n' "${sites[$suite]}" "$suite"; done \
        >"$folder/etc/apt/sources.list"
    in_root "$folder" apt-get --quiet=2 update || return
    in_root "$folder" apt-get --quiet=2 --option DPkg::Post-Invoke::= --yes upgrade || return
    mkdir "$folder/packages"
    in_root "$folder" apt-get --quiet=2 --yes --no-install-recommends --download-only \
        --option Dir::Cache::archives=/packages install "${@:2}" || return
    rm -rf "$folder/packages/partial" "$folder/packages/lock"
    for package in "$folder"/packages/*.deb; do
        dpkg-deb --field "$package"
        printf 'Filename: ./packages/%s\nSize: %s\nSHA256: %s\n\n' "${package##*/}" "$(stat -c %s "$package")" \
            "$(sha256sum "$package" | cut -d ' ' -f 1)"
    done >"$folder/packages/Packages"
    printf 'deb [trusted=yes] file:/ packages/\n' >"$folder/etc/apt/sources.list"
    in_root "$folder" apt-get clean
    rm -rf "$folder"/var/lib/apt/lists/* "$folder/etc/resolv.conf"
    pack "$folder" "$1" && printf '%s' "${*:2}" >"$cache/debian.packages"
}

# make_postgres ARCHIVE: postgres:17-bookworm, with an entry point that does what ours needs of the official one.
make_postgres() {
    local folder=$scratch/postgres suite=${engine_suites[$codename]-$codename}
    bootstrap "$suite" "$folder" || return
    printf 'deb %s %s main\n' "${sites[$codename]}" "$suite" >"$folder/etc/apt/sources.list"
    mkdir -p "$folder/etc/postgresql-common/createcluster.d"
    printf 'create_main_cluster = false\n' >"$folder/etc/postgresql-common/createcluster.d/none.conf"
    in_root "$folder" apt-get --quiet=2 update || return
    in_root "$folder" apt-get --quiet=2 --yes --no-install-recommends install postgresql-17 || return
    # Just-in-time compilation is a third of the image.
    rm -rf "$folder"/usr/lib/postgresql/17/lib/{bitcode,llvmjit*} "$folder"/usr/lib/*/libLLVM*
    install "$root/scripts/docker/postgres-entrypoint" "$folder/usr/local/bin/docker-entrypoint.sh"
    rm -rf "$folder"/var/lib/apt/lists/* "$folder/etc/resolv.conf"
    pack "$folder" "$1"
}

# pack FOLDER ARCHIVE: without what only people read.
pack() {
    rm -rf "$1"/usr/share/{doc,man,locale}/* "$1"/var/cache/apt/*.bin "$1"/var/log/*.log
    tar --create --one-file-system --directory "$1" --file "$2.new" . && mv "$2.new" "$2"
    rm -rf --one-file-system "$1"
}

# has_cache PACKAGE...: whether nothing is missing. What the mirror gave a month ago is made anew.
has_cache() {
    find "$cache" -maxdepth 1 -name '*.tar' -mtime +30 -delete 2>/dev/null || true
    [[ -x $cache/programs/usr/sbin/dockerd && -e $cache/postgres.tar && -e $cache/debian.tar ]] &&
        [[ $(cat "$cache/debian.packages" 2>/dev/null) == "$*" ]]
}

# make_cache SCRATCH PACKAGE...: whatever the engine and its images need that is not there yet; the packages are those that
# the Dockerfile installs. In a mount namespace of its own: the roots are made in memory, where dpkg's many writes to disk
# cost nothing, if there are 4 GiB of it.
make_cache() {
    scratch=$1
    shift
    if (($(sed -nE 's/^MemAvailable: +([0-9]+) kB/\1/p' /proc/meminfo) > 4 * 1024 * 1024)); then
        mount -t tmpfs -o mode=755 tmpfs "$scratch"
    fi
    mkdir -p "$cache"
    exec {lock}>"$cache/lock"
    flock "$lock"
    # Side by side: they wait for the mirror and for one processor each.
    local part parts=() status=0
    [[ -x $cache/programs/usr/sbin/dockerd ]] || parts+=(programs)
    [[ -e $cache/postgres.tar ]] || parts+=(postgres)
    if [[ ! -e $cache/debian.tar || $(cat "$cache/debian.packages" 2>/dev/null) != "$*" ]]; then parts+=(debian); fi
    declare -A jobs=()
    for part in "${parts[@]}"; do
        "make_$part" "$cache/$part.tar" "$@" >"$cache/$part.log" 2>&1 &
        jobs[$part]=$!
    done
    for part in "${parts[@]}"; do
        wait "${jobs[$part]}" || { status=1; printf '%s failed:\n' "$part"; tail -n 20 "$cache/$part.log"; } >&2
    done
    return "$status"
}

# remove_control_groups: those that the engine's containers have left.
remove_control_groups() {
    local token=${1##*.} folder
    for folder in /sys/fs/cgroup/daruma-check-"${token,,}" /sys/fs/cgroup/*/daruma-check-"${token,,}"; do
        [[ ! -d $folder ]] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}
