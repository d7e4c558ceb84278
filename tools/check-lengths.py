#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a file of base/, server/ or client/ has more than 400 lines, or a function in it more than
60, unless a comment says why it reads better so: "// Longer than N lines because ...", on top of the
file or right before the function. Fails also where such a comment is no longer needed. With
--self-test, shows that each is found."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 60

REASON = re.compile(r"// Longer than (\d+) lines because \S")
# What opens a block that is no function: a type, a namespace, a list of values. The code is formatted,
# so a block's closing brace stands in the column in which the statement that opens it begins.
NO_FUNCTION = re.compile(
    r"(namespace\b|extern \"C\"|(typedef |template <.*> )?(class|struct|union|enum)\b)"
)


def without_texts(text):
    """The text with what stands in comments and literals blanked, line by line as long as before."""
    pattern = re.compile(
        r'R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
        r"|//[^\n]*|/\*.*?\*/",
        re.S,
    )

    def blank(found):
        # An apostrophe between digits separates thousands.
        if found[0][0] == "'" and found.start() > 0 and text[found.start() - 1].isalnum():
            return found[0]
        return re.sub(r"[^\n]", " ", found[0])

    text = re.sub(r"(?<=\d)'(?=\d)", "_", text)
    return pattern.sub(blank, text)


def begins_function(header):
    """Whether a block that follows these words is a function's body, not a type or a value."""
    header = re.sub(r"^template <.*?> (?=\w)", "", header)
    if NO_FUNCTION.match(header) or "(" not in header:
        return False
    # A value: `name = {`, `name{`, or the arguments of a call.
    before_parenthesis = header.split("(")[0]
    return "=" not in before_parenthesis or "operator" in before_parenthesis


def functions_of(lines):
    """First and last line, counted from 1, of each function that is not inside another."""
    found = []
    code = without_texts("\n".join(lines)).split("\n")
    at = 0
    while at < len(code):
        end = end_of_statement(code, at)
        opener = code[end].rstrip() if end is not None else ""
        header = " ".join(line.strip() for line in code[at : (end or at) + 1])
        if end is None or not opener.endswith("{") or not begins_function(header):
            at += 1
            continue
        column = len(code[at]) - len(code[at].lstrip())
        last = next(
            (i for i in range(end + 1, len(code)) if re.match(rf" {{{column}}}}}(?!\S*\{{)", code[i])), None
        )
        if last is None:
            at += 1
            continue
        found.append((at + 1, last + 1))
        at = last + 1
    return found


def end_of_statement(code, at):
    """The line on which the declaration that begins on line `at` ends or opens its block."""
    if not re.match(r"\s*[\w~\[:*&]", code[at]) or re.match(r"\s*(public|private|protected):", code[at]):
        return None
    for i in range(at, min(at + 40, len(code))):
        line = code[i].rstrip()
        if line.endswith(";") or line.endswith("}"):
            return None
        if line.endswith("{") and code[at : i + 1] and balanced(code[at : i + 1]):
            return i
        if not line.strip():
            return None
    return None


def balanced(lines):
    text = "".join(lines)
    return text.count("(") == text.count(")")


def reason_before(lines, first):
    """The comment that stands right before a function, where it has a reason."""
    at = first - 2
    while at >= 0 and lines[at].lstrip().startswith("//"):
        if REASON.search(lines[at]):
            return True
        at -= 1
    return False


def check(root, files):
    problems = []
    for file in files:
        lines = (root / file).read_text().splitlines()
        head = []
        for line in lines:
            if not line.startswith("//"):
                break
            head.append(line)
        excused = any(REASON.search(line) for line in head)
        if len(lines) > FILE_LINES and not excused:
            problems.append(f"{file}: {len(lines)} lines; expected at most {FILE_LINES}, {OR_REASON} at its head")
        if excused and len(lines) <= FILE_LINES:
            problems.append(f"{file}: {len(lines)} lines, so the reason for more can go")
        for first, last in functions_of(lines):
            length = last - first + 1
            reason = reason_before(lines, first)
            if length > FUNCTION_LINES and not reason:
                problems.append(
                    f"{file}:{first}: a function of {length} lines; expected at most {FUNCTION_LINES},"
                    f" {OR_REASON} before it"
                )
            if reason and length <= FUNCTION_LINES and not (excused and first <= len(head) + 1):
                problems.append(f"{file}:{first}: a function of {length} lines, so the reason for more can go")
    return problems


OR_REASON = 'or a comment "// Longer than N lines because ..."'


def self_test():
    body = "\n".join(f"  Do({i});" for i in range(70))
    short = "\n".join(f"  Do({i});" for i in range(58))
    shorter = short.split("\n", 1)[1]
    why = "// Longer than 60 lines because it is a table.\n"
    long_member = body.replace("  Do", "    Do")
    top = "// SPDX\n#include <a>\n\n"
    cases = {
        "server/short.cc": (f"void F() {{\n{short}\n}}\n", None),
        "server/long.cc": (f"void F() {{\n{body}\n}}\n", "long.cc:4: a function of 72 lines"),
        "server/reason.cc": (f"{why}void F() {{\n{body}\n}}\n", None),
        "server/needless.cc": (f"{why}void F() {{\n{short}\n}}\n", "needless.cc:5: .* can go"),
        "server/empty.cc": (
            f"// Longer than 60 lines because\nvoid F() {{\n{body}\n}}\n", "empty.cc:5: a function"),
        "server/member.h": (
            f"class C {{\n public:\n  int F(int a,\n        int b) const {{\n{long_member}\n  }}\n}};\n",
            "member.h:6: a function of 73 lines",
        ),
        "server/constructor.cc": (
            f"C::C(int a)\n    : a_(a),\n      b_(a) {{\n{body}\n}}\n",
            "constructor.cc:4: a function of 74 lines",
        ),
        "server/operator.cc": (
            f"bool operator==(const C& a, const C& b) {{\n{body}\n}}\n", "operator.cc:4: a function"),
        "server/template.cc": (
            f"template <typename T = int>\nstd::vector<T> F(T t) {{\n{body}\n}}\n", "template.cc:4: a function"),
        "server/namespace.cc": (f"namespace a {{\nvoid F();\n{body}\n}}\n", None),
        "server/table.cc": (f"const int kTable[] = {{\n{body}\n}};\n", None),
        "server/type.h": (f"struct S {{\n{body}\n}};\n", None),
        "server/raw.cc": ('const char* k = R"(\nvoid F() {\n' + body + '\n}\n)";\n', None),
        "server/braces.cc": (f'void F() {{\n  Do("{{");  // }}\n{shorter}\n}}\n', None),
        "server/large.cc": ("int i;\n" * 401, "large.cc: 404 lines"),
        "server/large_reason.cc": (
            f"// Longer than 400 lines because it is a table.\n{top}" + "int i;\n" * 400, None),
        "server/small_reason.cc": (
            f"// Longer than 400 lines because it was.\n{top}", "small_reason.cc: 4 lines, so"),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "server").mkdir()
        for file, (text, _) in cases.items():
            (root / file).write_text(top + text if top not in text else text)
        found = check(root, cases)
    expected = [words for _, words in cases.values() if words]
    missed = [words for words in expected if not any(re.search(words, line) for line in found)]
    if missed or len(found) != len(expected):
        sys.exit(f"check-lengths.py --self-test: missed {missed}, found {found}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        sys.exit()
    here = Path(__file__).resolve().parent.parent
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "base", "server", "client"],
        cwd=here, check=True, capture_output=True, text=True,
    ).stdout.split()
    sources = [file for file in listed if file.endswith((".h", ".cc")) and (here / file).exists()]
    problems = check(here, sources)
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    sys.exit(1 if problems else 0)
