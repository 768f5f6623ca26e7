#!/usr/bin/env python3
"""Writes scenario files into a C source: embed.py OUTPUT FILE...

The name of a scenario is that of its file.
"""
import pathlib
import sys


def quoted(line):
    return '"%s\\n"' % line.replace("\\", "\\\\").replace('"', '\\"')


def main():
    files = sorted(pathlib.Path(name) for name in sys.argv[2:])
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write('/* Written by embed.py at build time. */\n#include "sim/builtin.h"\n\n#include <stddef.h>\n\n')
        out.write("const sim_builtin sim_builtins[] = {\n")
        for file in files:
            lines = file.read_text(encoding="utf-8").splitlines()
            out.write('    {"%s",\n' % file.stem)
            out.writelines("     %s\n" % quoted(line) for line in lines)
            out.write("    },\n")
        out.write("    {NULL, NULL},\n};\n")


if __name__ == "__main__":
    main()
