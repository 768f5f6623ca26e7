#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing from the distribution's packages.
#   scripts/deps.sh GROUP...      groups: build, test, lint
# Where nothing is missing it only looks: no network, no root.
# FORAGE_DEPS=skip leaves the machine as it is.
set -eu

[ "${FORAGE_DEPS:-}" != skip ] || exit 0
[ $# -gt 0 ] || set -- build test

# group  package (a|b: either will do; the first is installed)  what for
# A "?" before the package: wanted, but built without it where it does not exist.
needs() {
    cat <<'TABLE'
build gcc                             the C compiler
build libc6-dev                       headers of the C library
build meson                           describes the build
build ninja-build                     runs the build
build pkg-config|pkgconf              finds libraries
build ?libxsmm-dev                    products of small matrices
build libopenblas-dev|libxsmm-dev     the same, where libxsmm is absent
build libjansson-dev                  JSON
build libyaml-dev                     scenario files
build libxxhash-dev                   hashing of ids
build gnuplot-nox|gnuplot-qt|gnuplot-x11 charts of the report
test  libcmocka-dev                   the test framework
test  g++                             checks that the headers are good C++
test  python3                         checks of includes, symbols and documents
lint  clang-14|clang                  a second compiler
lint  clang-format-14|clang-format    formatting
lint  clang-tidy-14|clang-tidy        static analysis
lint  cppcheck                        static analysis
TABLE
}

wanted=$(needs | while read -r group package why; do
    for asked in "$@"; do
        [ "$asked" != "$group" ] || printf '%s %s\n' "$package" "$why"
    done
done)

if ! command -v dpkg-query >/dev/null 2>&1; then
    if command -v meson >/dev/null && command -v ninja >/dev/null && command -v cc >/dev/null; then
        exit 0 # the build says what else it lacks
    fi
    echo "forage: this system has no apt; please install the equivalents of these Debian packages:" >&2
    echo "$wanted" | while read -r package why; do echo "  ${package%%|*}: $why" >&2; done
    exit 1
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing=$(echo "$wanted" | while read -r package why; do
    found=
    for one in $(echo "${package#\?}" | tr '|' ' '); do
        if installed "$one"; then
            found=yes
            break
        fi
    done
    [ -n "$found" ] || printf '%s %s\n' "$package" "$why"
done)
# What is merely wanted is not missing where the distribution does not have it. Without
# package lists that cannot be known yet.
have_lists() { ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; }
exists() { apt-cache show "$1" >/dev/null 2>&1; }
if [ -n "$missing" ] && have_lists; then
    missing=$(printf '%s\n' "$missing" | while read -r package why; do
        case $package in
        \?*)
            for one in $(echo "${package#\?}" | tr '|' ' '); do
                ! exists "$one" || { printf '%s %s\n' "$package" "$why"; break; }
            done
            ;;
        *) printf '%s %s\n' "$package" "$why" ;;
        esac
    done)
fi
[ -n "$missing" ] || exit 0

echo "forage: to be installed from the distribution's packages:"
echo "$missing" | while read -r package why; do
    package=${package#\?}
    printf '  %-18s %s\n' "${package%%|*}" "$why"
done
if ! command -v apt-get >/dev/null 2>&1; then
    echo "forage: apt-get is not here; please install these packages and try again" >&2
    exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "forage: installing needs root and there is no sudo; please run as root: scripts/deps.sh $*" >&2
        exit 1
    fi
    root="sudo"
    [ -t 0 ] || root="sudo -n"
    echo "forage: using sudo for that"
fi
apt() { $root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null; }

apt update || echo "forage: apt-get update failed; trying with the package lists that are here" >&2
required=
optional=
for package in $(echo "$missing" | cut -d' ' -f1); do
    name=
    for one in $(echo "${package#\?}" | tr '|' ' '); do
        if exists "$one"; then
            name=$one
            break
        fi
    done
    case $package in
    \?*) optional="$optional $name" ;;
    *) required="$required ${name:-${package%%|*}}" ;;
    esac
done
# shellcheck disable=SC2086 # lists of package names
if [ -n "$required" ] && ! apt install -y --no-install-recommends $required; then
    echo "forage: could not install:$required" >&2
    exit 1
fi
for package in $optional; do
    apt install -y --no-install-recommends "$package" || echo "forage: going on without $package" >&2
done
