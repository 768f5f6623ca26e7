#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Configures what is not configured, and builds.
#   scripts/build.sh FOLDER TARGET [meson setup options]
# TARGET is "program" or "all"; all needs the test framework.
set -eu
cd "$(dirname "$0")/.."
folder=$1 target=$2
shift 2
if [ ! -f "$folder/build.ninja" ]; then
    meson setup "$folder" "$@"
elif [ "$target" = all ] && ! grep -q test_base "$folder/build.ninja"; then
    # Configured for the program alone, before the test framework was there.
    meson configure "$folder" --clearcache
    meson setup --reconfigure "$folder"
fi
case $target in
program) ninja -C "$folder" src/cli/forage ;;
*) ninja -C "$folder" ;;
esac
