#!/usr/bin/env bash
# Compares two builds of the shell with their libraries on the scripts DIR/SCRIPT.sql, and writes a table.
#
#   compare.sh OUT VALGRIND PLAIN-SHELL PLAIN-LIBRARY NEW-SHELL NEW-LIBRARY DIR SCRIPT…
#
# Instructions are counted with callgrind, which says the same on a busy machine as on an idle one; if there is no VALGRIND, the
# column is left out. User time is the median of RUNS runs of each build, which take turns, so that whatever else the machine
# does falls on both. A script must print the same with both builds, else nothing is written and the status is 1.
set -euo pipefail

RUNS=15

out=$1 valgrind=$2 plain_shell=$3 plain_library=$4 new_shell=$5 new_library=$6 scripts=$7
shift 7
# A library that is missing would not be noticed: the loader takes the system's SQLite.
for file in "$plain_shell" "$plain_library" "$new_shell" "$new_library"; do
  [ -f "$file" ] || { echo "there is no file $file" >&2; exit 1; }
done
plain_path=$(dirname "$plain_library") new_path=$(dirname "$new_library")

# Lines of NAME, what was measured, plain, new, in the file `values`.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C TIMEFORMAT=%3U

# run SIDE COMMAND… : the shell of that side, on its library, started through COMMAND if there is one
run() {
  local side=$1
  shift
  local shell=${side}_shell path=${side}_path
  LD_LIBRARY_PATH=${!path} "$@" "${!shell}" "$script" >"$work/$side.out" 2>"$work/$side.log" && return
  cat "$work/$side.log" >&2
  echo "$script failed with ${!shell}" >&2
  return 1
}

# user_time SIDE : appends the user time of one run, in seconds, to SIDE.times
user_time() {
  if { time run "$1"; } 2>"$work/time"; then
    cat "$work/time" >>"$work/$1.times"
  else
    cat "$work/time" >&2
    return 1
  fi
}

# instructions SIDE : writes how many instructions one run executes to SIDE.instructions
instructions() {
  run "$1" "$valgrind" --tool=callgrind --callgrind-out-file="$work/$1.callgrind"
  awk '$2 == "Collected" { print $4 }' "$work/$1.log" >"$work/$1.instructions"
}

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
size() { stat -L -c %s "$1"; }

counted=no
if command -v "$valgrind" >/dev/null; then counted=yes; fi

for name in "$@"; do
  script=$scripts/$name.sql
  rm -f "$work"/*.times
  for ((i = 0; i < RUNS; i++)); do
    if ((i % 2)); then order=(new plain); else order=(plain new); fi
    for side in "${order[@]}"; do user_time "$side"; done
  done
  cmp -s "$work/plain.out" "$work/new.out" || { echo "$script: the two builds do not print the same" >&2; exit 1; }
  echo "$name user $(median "$work/plain.times") $(median "$work/new.times")" >>"$work/values"
  if [ $counted = yes ]; then
    # At once: counting is not disturbed by it.
    instructions plain & plain_pid=$!
    instructions new
    wait $plain_pid
    echo "$name instructions $(cat "$work/plain.instructions") $(cat "$work/new.instructions")" >>"$work/values"
  fi
  echo "measured $name"
done
echo "libsqlite3.so size $(size "$plain_library") $(size "$new_library")" >>"$work/values"
echo "sqlsh size $(size "$plain_shell") $(size "$new_shell")" >>"$work/values"

# Two aligned tables that are Markdown as well.
awk -v counted=$counted '
  function change(old, new) { return old > 0 ? sprintf("%+.1f %%", (new / old - 1) * 100) : "" }
  function grow(old, new) { sum += log(new / old); n++ }
  function mean(    m) { m = n ? sprintf("%+.1f %%", (exp(sum / n) - 1) * 100) : ""; sum = n = 0; return m }
  function rule(width, left) { return (left ? ":" : "-") dashes(width - 2) (left ? "-" : ":") }
  function dashes(count,    s) { while (length(s) < count) s = s "-"; return s }
  function table(    row, column, width, line) {
    for (column = 1; column <= columns; column++) {
      width = 3
      for (row = 1; row <= rows; row++) if (length(cell[row, column]) > width) width = length(cell[row, column])
      for (row = 1; row <= rows; row++) text[row, column] = sprintf(column == 1 ? "%-" width "s" : "%" width "s", cell[row, column])
      text[0, column] = rule(width, column == 1)
    }
    for (row = 1; row <= rows; row++) {
      line = "|"
      for (column = 1; column <= columns; column++) line = line " " text[row, column] " |"
      print line
      if (row == 1) { line = "|"; for (column = 1; column <= columns; column++) line = line " " text[0, column] " |"; print line }
    }
    rows = 0
  }
  function put(a, b, c, d, e, f, g) {
    rows++
    cell[rows, 1] = a; cell[rows, 2] = b; cell[rows, 3] = c; cell[rows, 4] = d; cell[rows, 5] = e; cell[rows, 6] = f; cell[rows, 7] = g
  }
  $2 == "size" { files[++filecount] = $1 }
  $2 == "user" { scripts[++scriptcount] = $1 }
  { plain[$1, $2] = $3; new[$1, $2] = $4 }
  END {
    columns = counted == "yes" ? 7 : 4
    put("script", "user time, plain", "optimised", "change", "instructions, plain", "optimised", "change")
    for (i = 1; i <= scriptcount; i++) {
      s = scripts[i]
      put(s, sprintf("%.0f ms", plain[s, "user"] * 1000), sprintf("%.0f ms", new[s, "user"] * 1000), change(plain[s, "user"], new[s, "user"]),
          sprintf("%.1f M", plain[s, "instructions"] / 1e6), sprintf("%.1f M", new[s, "instructions"] / 1e6),
          change(plain[s, "instructions"], new[s, "instructions"]))
    }
    for (i = 1; i <= scriptcount; i++) grow(plain[scripts[i], "user"], new[scripts[i], "user"])
    time = mean()
    if (counted == "yes") for (i = 1; i <= scriptcount; i++) grow(plain[scripts[i], "instructions"], new[scripts[i], "instructions"])
    put("mean", "", "", time, "", "", mean())
    table()
    print ""
    columns = 4
    put("file", "size, plain", "optimised", "change")
    for (i = 1; i <= filecount; i++) {
      f = files[i]
      put(f, sprintf("%.0f KiB", plain[f, "size"] / 1024), sprintf("%.0f KiB", new[f, "size"] / 1024), change(plain[f, "size"], new[f, "size"]))
    }
    table()
    if (counted != "yes") print "\nvalgrind is not installed: instructions were not counted."
  }' "$work/values" >"$work/table"
cp "$work/table" "$out"
