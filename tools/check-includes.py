#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when an #include goes against the order of ARCHITECTURE.md's table of modules, when a path is
relative, or when a header's guard is not its path. With --self-test, shows that each is found."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def modules_of(architecture):
    """Folder -> folders it may include from, or None for all; and what is wrong with the table."""
    rows, problems = [], []
    table = architecture.split("\n## Modules\n")[1].split("\n## ")[0]
    for line in table.splitlines():
        if row := re.match(r"\| `([\w./]+)` \|[^|]*\|([^|]*)\|$", line):
            rows.append((row[1].rstrip("/"), row[2].strip()))
        elif line.startswith("| `"):
            problems.append(f"ARCHITECTURE.md: not a row of a folder and two cells: {line}")
    modules = {}
    for place, (module, may_use) in enumerate(rows):
        below = [name for name, _ in rows[place + 1 :]]
        allowed = {module, "base"} if module.startswith(("server/", "client/gantryctl")) else {module}
        for word in filter(None, may_use.split(", ")):
            if word == "everything":
                allowed = None
                break
            if word == "all below":
                allowed.update(name for name in below if name.startswith(("server/", "proto")))
                continue
            named = [name for name in below if f"/{name}".endswith(f"/{word}")]
            allowed.update(named)
            if not named:
                problems.append(f"ARCHITECTURE.md: {module}/ may use {word}, no module below it")
        modules[module] = allowed
    return modules, problems


def module_of(path, modules):
    """The module that a path belongs to: the longest that it begins with."""
    found = [module for module in modules if path == module or path.startswith(f"{module}/")]
    return max(found, key=len, default=None)


def as_in_tree(include):
    """Where the tree has what is included under another path; None: not ours."""
    if include.startswith(("gantry/v1/", "gantry/rpc/")):
        return f"proto/{include}"
    if include.startswith("gantry/client/"):
        return f"client/{include}"
    return include if include.startswith(("base/", "server/", "client/", "tests/")) else None


def check(root, files):
    modules, problems = modules_of((root / "ARCHITECTURE.md").read_text())
    gone = [module for module in modules if not (root / module).exists()]
    problems += [f"ARCHITECTURE.md: there is no {module}" for module in gone]
    for file in files:
        module = module_of(file, modules)
        if module is None:
            problems.append(f"{file}: its folder is no module of ARCHITECTURE.md")
            continue
        text = (root / file).read_text()
        if file.endswith(".h"):
            guard = re.sub(r"\W", "_", file.removeprefix("client/gantry/")).upper() + "_"
            guard = f"GANTRY_{guard}"
            if f"#ifndef {guard}\n#define {guard}\n" not in text:
                problems.append(f"{file}: expected the guard {guard}")
        for number, line in enumerate(text.splitlines(), 1):
            if not (include := INCLUDE.match(line)):
                continue
            where = f'{file}:{number}: "{include[1]}"'
            if "/" not in include[1] or {".", ".."} & set(include[1].split("/")):
                problems.append(f"{where} is relative; expected the path from the root")
                continue
            target = as_in_tree(include[1])
            if target is None or modules[module] is None:
                continue
            used = module_of(target, modules)
            if used not in modules[module]:
                problems.append(
                    f"{where}: {module}/ may not use {used or 'what is no module'};"
                    " see the table of modules in ARCHITECTURE.md"
                )
    return problems


def self_test():
    table = (
        "\n## Modules\n\n| `tests/` | | everything |\n| `server/high/` | | all below |\n"
        "| `server/low/` | | |\n| `base/` | | |\n| `client/` | | low, high |\n"
        "| `gone/` | | |\n| `two/`, `folders/` | | |\n\n## More\n"
    )
    guard = "#ifndef GANTRY_SERVER_{0}_H_\n#define GANTRY_SERVER_{0}_H_\n"
    cases = {
        "tests/any.cc": ('#include "server/high/a.h"\n', None),
        "server/high/down.cc": ('#include "server/low/a.h"\n#include "absl/a.h"\n', None),
        "server/low/up.cc": ('#include "server/high/a.h"\n', "server/low/ may not use server/high"),
        "server/low/tests.cc": ('#include "tests/a.h"\n', "may not use tests"),
        "server/low/gone.cc": ('#include "server/gone/a.h"\n', "may not use what is no module"),
        "server/new/a.cc": ("", "is no module of ARCHITECTURE.md"),
        "server/low/near.cc": ('#include "a.h"\n', "is relative"),
        "server/low/beside.cc": ('#include "../low/a.h"\n', "is relative"),
        "server/low/good.h": (guard.format("LOW_GOOD"), None),
        "server/low/other.h": (guard.format("LOW_GOOD"), "expected the guard"),
        "server/low/bad.h": ("#pragma once\n", "expected the guard GANTRY_SERVER_LOW_BAD_H_"),
        "base/any.cc": ("", None),
        "client/near.cc": ('#include "client/a.h"\n', None),
        "client/across.cc": ('#include "server/low/a.h"\n', "client/ may not use server/low"),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "ARCHITECTURE.md").write_text(table)
        for file, (text, _) in cases.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(text)
        found = check(root, cases)
    # The table has problems of its own.
    expected = ["client/ may use low, no", "client/ may use high, no"]
    expected += ["there is no gone", "not a row of a folder and two cells.*two/"]
    expected += [f"{file}.*{words}" for file, (_, words) in cases.items() if words]
    missed = [words for words in expected if not any(re.search(words, line) for line in found)]
    if missed or len(found) != len(expected):
        sys.exit(f"check-includes.py --self-test: expected {expected}, found {found}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        sys.exit()
    here = Path(__file__).resolve().parent.parent
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "base", "server", "client", "tests"],
        cwd=here, check=True, capture_output=True, text=True,
    ).stdout.split()
    sources = [file for file in listed if file.endswith((".h", ".cc")) and (here / file).exists()]
    problems = check(here, sources)
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    sys.exit(1 if problems else 0)
