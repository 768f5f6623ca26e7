#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lists every C source and header of the project, one a line.
set -eu
cd "$(dirname "$0")/.."
if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard -- '*.c' '*.h'
else
    find include src tests bench fuzz examples -name '*.[ch]' 2>/dev/null
fi | sort
