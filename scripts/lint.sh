#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every check of the source, one line of verdict each; ends with "lint: N passed, M failed".
#   scripts/lint.sh [NAME...]     runs only the named ones
set -u
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0
jobs=$(nproc)
clang=$(command -v clang-14 || command -v clang)
only="$*"

check() { # name command...
    local name=$1 start=$SECONDS
    shift
    [ -z "$only" ] || [[ " $only " == *" $name "* ]] || return 0
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name ($((SECONDS - start)) s)"
    else
        failed=$((failed + 1))
        echo "FAIL  $name ($((SECONDS - start)) s)"
        grep -v '^\[[0-9]*/[0-9]*\]\|: YES\|^Program .* found' "$log" | tail -n 60
    fi
}

strict() { # compiler folder: the whole project, warnings are errors
    [ -f "$2/build.ninja" ] || CC=$1 meson setup "$2" --buildtype=debugoptimized -Dwerror=true || return 1
    ninja -C "$2"
}

format() {
    if ! scripts/clang-tool.sh clang-format --version | grep -q 'version 14\.'; then
        echo "clang-format 14 is not here; other versions format differently"
        return 0
    fi
    scripts/sources.sh | xargs scripts/clang-tool.sh clang-format --dry-run -Werror
}

licence() { # every source says under which one it stands
    local without
    without=$(scripts/sources.sh | xargs grep -L 'SPDX-License-Identifier: Apache-2.0')
    [ -z "$without" ] || { echo "no SPDX-License-Identifier: $without"; return 1; }
}

analyse_cppcheck() {
    mkdir -p build-lint-gcc/cppcheck
    cppcheck --project=build-lint-gcc/compile_commands.json --cppcheck-build-dir=build-lint-gcc/cppcheck -j "$jobs" \
        --enable=warning,performance,portability --inline-suppr --quiet --error-exitcode=1 \
        --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective \
        --suppress=invalidPointerCast --suppress=ctuuninitvar --suppress=varFuncNullUB
    # Scratch memory holds floats, then codes of the same size; output arguments need no value;
    # POSIX makes NULL a pointer, also behind "...".
}

analyse_tidy() {
    scripts/sources.sh | grep '^\(src\|tests\|bench\)/.*\.c$' |
        xargs -P "$jobs" -n 4 scripts/clang-tool.sh clang-tidy -p build-lint-clang --quiet 2>&1 | grep -A 2 ' error: '
    [ "${PIPESTATUS[2]}" = 0 ]
}

check gcc strict gcc build-lint-gcc
check clang strict "$clang" build-lint-clang
check format format
check cppcheck analyse_cppcheck
check clang-tidy analyse_tidy
check includes scripts/check-includes .
check symbols scripts/check-symbols . build-lint-gcc/libforage.so
check headers scripts/check-headers include gcc g++
check headers-clang scripts/check-headers include "$clang" "$clang++"
check banned scripts/check-banned .
check licence licence
check docs scripts/check-docs .
check cli-doc scripts/cli-doc build-lint-gcc/src/cli/forage --check
echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
