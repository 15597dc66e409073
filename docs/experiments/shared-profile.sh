#!/bin/sh
# What is lost when 8 processes at a time write to one profile file: counts and targets of calls, against one file per process.
#
# Usage: shared-profile.sh [RUNS]      LLVM names the directory of clang and llvm-profdata.
set -eu
runs=${1:-400}
PATH=${LLVM:-/usr/lib/llvm-22/bin}:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Branches, calls through pointers, and a run time of some milliseconds that differs from run to run.
cat > prog.c <<'C'
#include <stdlib.h>
#define F(n) __attribute__((noinline)) static int f##n(int x) { return x % (n + 2) ? x * n : x + n; }
F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
static int (*table[])(int) = {f1, f2, f3, f4, f5, f6, f7, f8};
int main(int count, char **words) {
  int n = atoi(words[1]);
  volatile int sum = 0;
  for (int i = 0; i < 100000 + n * 1000; i++) sum += table[(i * n) % 8](i);
  return sum == 1;
}
C
clang -O2 -fprofile-generate prog.c -o prog

# Runs the program RUNS times, 8 at a time, with this pattern of file names; prints the sum of all counts and of all targets
# that have a name.
gather() {
  mkdir "$1"
  seq "$runs" | LLVM_PROFILE_FILE="$work/$1/$2" xargs -P 8 -n 1 ./prog 2> "$1/complaints"
  rm -f "$1/empty"
  llvm-profdata merge --failure-mode=all "$1"/*.profraw -o "$1.profdata" 2>> "$1/complaints" || true
  llvm-profdata show --all-functions --counts --ic-targets "$1.profdata" > "$1.txt" 2> /dev/null || true
  counts=$(sed -n 's/.*Block counts: \[\(.*\)\]/\1/p' "$1.txt" | tr ',' '\n' | awk '{ s += $1 } END { printf "%.0f", s }')
  targets=$(awk -F'[][,(]' '/^\t\[/ && $3 !~ /^ *$/ { s += $4 } END { printf "%.0f", s }' "$1.txt")
}

gather each '%p.profraw'
all_counts=$counts all_targets=$targets
printf '%-34s %8s %16s %10s %10s\n' "$runs runs, 8 at a time" files counts 'lost' 'targets lost'
row() {
  lost() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f %%", 100 * (b - a) / b }'; }
  printf '%-34s %8s %16s %10s %10s\n' "$2" "$(ls "$1" | grep -c profraw)" "$counts" \
    "$(lost "$counts" "$all_counts")" "$(lost "$targets" "$all_targets")"
}
row each 'a file per process (%p)'
gather one 'all.profraw'
row one 'one file, without merging'
gather merged '%m.profraw'
row merged 'one file, merged by LLVM (%m)'
gather pool '%4m.profraw'
row pool 'four files, merged by LLVM (%4m)'
