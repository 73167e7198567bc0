#!/usr/bin/env bash
# Install what Engenho needs to build and run on Debian 12, and with `test` what its tests need besides.
#
# usage: cmake/deps/deps.sh run|test
#
# Each step is skipped when what it makes is there already, so a second call takes seconds and no network.
# Everything but Debian's own packages goes below .deps/ (ENGENHO_DEPS to put it elsewhere).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
deps=${ENGENHO_DEPS:-$top/.deps}
prefix=$deps/prefix
mkdir -p "$deps/stamps"

librdkafka_least=2.14
hiredis_least=1.2

say() { printf 'deps: %s\n' "$*"; }
fail() { printf 'deps: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "installing Debian packages needs root: run as root, or install sudo"
    fi
}

# stamp NAME FILE...: the file whose existence says that step NAME was done with these inputs, by the function that asks as it
# is now: a change of one step repeats no other.
stamp() {
    local name=$1 step=${FUNCNAME[1]}; shift
    printf '%s/stamps/%s-%s' "$deps" "$name" "$({ cat "$@"; declare -f "$step"; } | sha256sum | cut -c1-16)"
}

debian_packages() {
    local list=$1 wanted missing
    wanted=$(grep -v '^#' "$here/$list")
    missing=$(for p in $wanted; do
        dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || echo "$p"
    done)
    if [ -z "$missing" ]; then
        say "Debian packages of $list: present"
        return
    fi
    say "installing Debian packages:" $missing
    # A server that a package starts by itself would take the usual port; ours are started by Engenho.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod +x $policy
        made=1
    fi
    as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 $missing >"$deps/apt.log" 2>&1 ||
        { tail -n 20 "$deps/apt.log" >&2; [ -z "$made" ] || as_root rm -f $policy; fail "apt-get install failed, see $deps/apt.log"; }
    [ -z "$made" ] || as_root rm -f $policy
}

# A private apt configuration with one deb-src line, so that the machine's own sources stay as they are.
newer_sources() {
    local root=$deps/apt
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
    local mirror
    mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1 | tr -d ' ' || true)
    [ -n "$mirror" ] || fail "no Debian mirror found in /etc/apt/sources.list: add the line of bookworm main"
    printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' "$mirror" >"$root/sources.list"
    cat >"$root/apt.conf" <<CONF
Dir::State::lists "$root/lists";
Dir::Cache "$root/cache";
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
CONF
    APT_CONFIG=$root/apt.conf apt-get update -qq
}

download_source() { (cd "$deps/src/$1" && APT_CONFIG=$deps/apt/apt.conf apt-get source -qq --download-only "$1" >/dev/null 2>&1); }

# fetch_source NAME: unpack Debian's newer source package into $deps/src/NAME, without Debian's patches: librdkafka's
# move its bundled sources to packages that Debian 12 does not have. Lists of days ago may name a version that is gone.
fetch_source() {
    local name=$1
    rm -rf "$deps/src/$name"
    mkdir -p "$deps/src/$name"
    if [ ! -e "$deps/apt/updated" ] || ! download_source "$name"; then
        newer_sources
        touch "$deps/apt/updated"
        download_source "$name" || fail "no source package of $name to be had"
    fi
    (cd "$deps/src/$name" && dpkg-source --no-check --skip-patches -x ./*.dsc tree >/dev/null) ||
        fail "the source package of $name can't be unpacked"
}

has_version() { PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --atleast-version="$2" "$1" 2>/dev/null; }

librdkafka() {
    if has_version rdkafka $librdkafka_least; then
        say "librdkafka $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion rdkafka): present"
        return
    fi
    say "building librdkafka (the system has none >= $librdkafka_least)"
    fetch_source librdkafka
    (cd "$deps/src/librdkafka/tree" &&
        ./configure --prefix="$prefix" --libdir="$prefix/lib" --disable-debug-symbols --enable-ssl --enable-gssapi \
            --enable-zstd --enable-lz4-ext &&
        make -j"$(nproc)" libs && make -C src install) >"$deps/librdkafka.log" 2>&1 ||
        fail "building librdkafka failed, see $deps/librdkafka.log"
    rm -rf "$deps/src/librdkafka"
}

hiredis() {
    if has_version hiredis $hiredis_least && has_version hiredis_ssl $hiredis_least; then
        say "hiredis $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion hiredis): present"
        return
    fi
    say "building hiredis (the system has none >= $hiredis_least)"
    fetch_source hiredis
    (cd "$deps/src/hiredis/tree" && make -j"$(nproc)" USE_SSL=1 PREFIX="$prefix" LIBRARY_PATH=lib &&
        make USE_SSL=1 PREFIX="$prefix" LIBRARY_PATH=lib install) >"$deps/hiredis.log" 2>&1 ||
        fail "building hiredis failed, see $deps/hiredis.log"
    rm -rf "$deps/src/hiredis"
}

# Valkey's server, which the licensor's tests run on besides Redis. Speed is no matter, so it is built in the quickest way.
valkey() {
    local version
    version=$("$deps/bin/valkey-server" --version 2>/dev/null | grep -oE 'v=[0-9.]+' || true)
    if [ -n "$version" ]; then
        say "Valkey ${version#v=}: present"
        return
    fi
    say "building Valkey's server"
    fetch_source valkey
    (cd "$deps/src/valkey/tree/src" &&
        make -j"$(nproc)" valkey-server OPTIMIZATION=-O0 DEBUG= MALLOC=libc BUILD_TLS=yes USE_SYSTEMD=no &&
        mkdir -p "$deps/bin" && install valkey-server "$deps/bin/valkey-server.new" &&
        mv "$deps/bin/valkey-server.new" "$deps/bin/valkey-server") >"$deps/valkey.log" 2>&1 ||
        fail "building Valkey failed, see $deps/valkey.log"
    rm -rf "$deps/src/valkey"
}

kafka_jars() {
    local done_
    done_=$(stamp kafka "$here/pom.xml")
    if [ -e "$done_" ]; then say "Kafka: present"; return; fi
    say "fetching Kafka by Maven"
    rm -rf "$deps/kafka"
    mkdir -p "$deps/kafka"
    mvn -q -B -f "$here/pom.xml" -DoutputDirectory="$deps/kafka/libs" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies >"$deps/kafka.log" 2>&1 ||
        { tail -n 20 "$deps/kafka.log" >&2; fail "fetching Kafka failed, see $deps/kafka.log"; }
    touch "$done_"
}

python_tests() {
    local done_
    done_=$(stamp venv "$here/requirements-test.txt")
    if [ -e "$done_" ]; then say "Python packages of the tests: present"; return; fi
    say "installing the Python packages of the tests (pinned, with hashes)"
    rm -rf "$deps/venv"
    /usr/bin/python3 -m venv "$deps/venv"
    "$deps/venv/bin/pip" install -q --require-hashes -r "$here/requirements-test.txt" ||
        fail "installing the Python packages of the tests failed"
    touch "$done_"
}

case ${1:-} in
run | test) ;;
*) fail "usage: cmake/deps/deps.sh run|test" ;;
esac

debian_packages debian-run.txt
librdkafka
hiredis
kafka_jars
if [ "$1" = test ]; then
    debian_packages debian-test.txt
    python_tests
    valkey
    [ ! -e "$here/tools.sh" ] || deps=$deps "$here/tools.sh"
fi
say "done"
