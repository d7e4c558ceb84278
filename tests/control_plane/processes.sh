# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Sourced by control_plane.sh and supervisor.sh: processes told apart by their id and
# the time they started, so that a reused id is never mistaken for the one that was
# meant, and never killed.

# Prints "PID STARTTIME" of a live process; fails when there is none, or a zombie.
process_identity() {
  local pid=$1 stat fields
  { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
  # The second field, the command's name in parentheses, may contain blanks.
  read -r -a fields <<<"${stat##*) }"
  [[ ${fields[0]} != [ZX] ]] || return 1
  printf '%s %s\n' "$pid" "${fields[19]}"
}

# is_running PID STARTTIME
is_running() {
  local identity
  identity=$(process_identity "$1") && [[ $identity == "$1 $2" ]]
}

# write_process_file PID FILE: the id in the first line, the start time in the second.
# Of a process that has ended already the start time is 0, which matches no process.
write_process_file() {
  local identity
  identity=$(process_identity "$1") || identity="$1 0"
  printf '%s\n%s\n' "${identity% *}" "${identity#* }" >"$2.new"
  mv "$2.new" "$2"
}

# Prints "PID STARTTIME" from a file; fails when there is no such file.
read_process_file() {
  local pid start
  { { read -r pid && read -r start; } <"$1"; } 2>/dev/null || return 1
  printf '%s %s\n' "$pid" "$start"
}

# Whether the process of a file is running.
is_file_running() {
  local identity
  identity=$(read_process_file "$1") || return 1
  # shellcheck disable=SC2086  # a process id and its start time
  is_running $identity
}
