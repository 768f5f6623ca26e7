#!/bin/sh
# Configures (once) and builds.   scripts/build.sh FOLDER [meson setup options]
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift
[ -f "$folder/build.ninja" ] || meson setup "$folder" "$@"
ninja -C "$folder"
