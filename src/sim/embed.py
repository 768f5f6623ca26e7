#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes YAML files into a C source: embed.py [--array=NAME] OUTPUT FILE...

Entries stand in the order of the files, and are named after them; the array's is sim_builtins, that of the scenarios.
"""
import pathlib
import sys


def quoted(line):
    return '"%s\\n"' % line.replace("\\", "\\\\").replace('"', '\\"')


def main():
    arguments, array = sys.argv[1:], "sim_builtins"
    if arguments[0].startswith("--array="):
        array = arguments.pop(0).removeprefix("--array=")
    files = [pathlib.Path(name) for name in arguments[1:]]
    with open(arguments[0], "w", encoding="utf-8") as out:
        out.write('/* Written by embed.py at build time. */\n#include "sim/builtin.h"\n\n#include <stddef.h>\n\n')
        out.write("const sim_builtin %s[] = {\n" % array)
        for file in files:
            lines = file.read_text(encoding="utf-8").splitlines()
            out.write('    {"%s",\n' % file.stem)
            out.writelines("     %s\n" % quoted(line) for line in lines)
            out.write("    },\n")
        out.write("    {NULL, NULL},\n};\n")


if __name__ == "__main__":
    main()
