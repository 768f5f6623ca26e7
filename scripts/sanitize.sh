#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds with a sanitizer and runs the tests.
#   scripts/sanitize.sh address,undefined|thread [TEST...]
set -eu
cd "$(dirname "$0")/.."
sanitizer=$1
shift
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1"
case $sanitizer in
thread)
    folder=build-tsan
    export TSAN_OPTIONS="halt_on_error=1:die_after_fork=0"
    # The program and failures on demand had their turn under the other sanitizers.
    [ $# -gt 0 ] || set -- --no-suite slow --no-suite house --no-suite install --no-suite fault --no-suite cli
    ;;
*)
    folder=build-asan
    export ASAN_OPTIONS="strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=0"
    [ $# -gt 0 ] || set -- --no-suite slow --no-suite house --no-suite install
    ;;
esac
scripts/build.sh "$folder" all --buildtype=debugoptimized -Db_sanitize="$sanitizer" -Db_lundef=false
meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier 10 "$@"
