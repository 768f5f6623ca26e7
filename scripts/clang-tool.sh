#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs version 14 of a clang tool where there is one (formatting differs between
# versions), else what there is.   scripts/clang-tool.sh clang-format ARGUMENTS...
set -eu
tool=$1
shift
command -v "$tool-14" >/dev/null 2>&1 && tool=$tool-14
exec "$tool" "$@"
