#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy over base/, server/ and client/; tests/ is not covered. Takes the build folder of a
# preset, whose compile_commands.json it reads; that build must have generated the protos.
#
# Nearly all of clang-tidy's time goes into the headers of the libraries, so all sources of a folder
# are checked as one unit, which reads those once. Names in the anonymous namespaces of one module have
# to differ for it. A unit that was found clean is not checked again before something changes that
# the verdict depends on.
set -euo pipefail
build=$(realpath "${1:?the build folder}")
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/gantry/tidy
units=$build/tidy
mkdir -p "$cache" "$units"

# The flags that matter to a check, of all targets together; not those of precompiled headers.
python3 - "$build/compile_commands.json" "$units" <<'END'
import json, shlex, sys
entries = json.load(open(sys.argv[1]))
flags = {}
for entry in entries:
    words = shlex.split(entry["command"])
    if not words[words.index("-o") + 1].startswith(("base/", "server/", "client/")):
        continue
    for word, following in zip(words, words[1:]):
        if word == "-isystem":
            flags[word + following] = None
        elif word.startswith(("-D", "-I", "-W", "-std=", "-pthread")):
            flags[word] = None
units = [f"{sys.argv[2]}/{folder}.cc" for folder in ("server", "client")]
commands = [{"directory": entries[0]["directory"], "file": unit,
             "arguments": ["clang++", *flags, "-c", unit]} for unit in units]
json.dump(commands, open(f"{sys.argv[2]}/compile_commands.json", "w"), indent=1)
END

# base/ is checked with server/, which uses nearly all of it.
folders_of() { # unit
  [[ $1 == server ]] && echo base
  echo "$1"
}

check() { # unit
  local unit=$units/$1.cc findings verdict=0 source
  # The sources themselves, not includes of them: some checks look at the main file alone.
  folders_of "$1" | xargs -I {} find {} -name '*.cc' | sort | while IFS= read -r source; do
    printf '// source: %s\n' "$source"
    cat "$source"
  done >"$unit"
  findings=$(clang-tidy --quiet -p "$units" "$unit" 2>&1) || verdict=$?
  ((verdict)) || return 0
  # Told where they are in the sources.
  awk -v unit="$unit" '
    FILENAME == unit && sub(/^\/\/ source: /, "") { ++sources; name[sources] = $0; start[sources] = FNR }
    FILENAME == unit || / warnings? generated\.$/ { next }
    index($0, unit ":") == 1 {
      rest = substr($0, length(unit) + 2)
      line = rest + 0
      sub(/^[0-9]+/, "", rest)
      for (i = sources; start[i] > line; --i);
      $0 = name[i] ":" (line - start[i]) rest
    }
    { print }' "$unit" - <<<"$findings"
  if grep -q 'clang-diagnostic-error' <<<"$findings"; then
    echo "The sources of $1/ are checked as one: two files may have the same name in it." >&2
  fi
  return 1
}

# All that the verdict on a folder depends on; the packages bring headers and clang-tidy itself.
state() { # unit
  {
    # shellcheck disable=SC2046
    find $(folders_of "$1") proto "$build/generated" "$build/proto/generated" \
      \( -name '*.cc' -o -name '*.h' -o -name '*.proto' \) -type f -exec sha256sum {} +
    sha256sum .clang-tidy tools/check-tidy.sh "$units/compile_commands.json"
    dpkg-query -W
  } | sort | sha256sum | cut -d' ' -f1
}

check_unless_known() { # unit
  local known
  known=$cache/$1-$(state "$1")
  [[ -e $known ]] && return
  check "$1" && touch "$known"
}

check_unless_known server &
server=$!
failed=0
check_unless_known client || failed=1
wait "$server" || failed=1
exit "$failed"
