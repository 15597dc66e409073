#
# Usage: bash SCRIPT DIRECTORY. The outputs stand in DIRECTORY in the end. All of it is built from the start, one thing after
# the other, in DIRECTORY/.work (or $WORK); the first error ends it. JOBS is the number of processors to use.
set -euo pipefail

[ $# = 1 ] || { echo "usage: bash $0 DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
OUT=$(cd "$1" && pwd)
WORK=${WORK:-$OUT/.work}
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
slot=0

fail() { echo "error: $*" >&2; exit 1; }

# Commands see this much of the environment, and what stands before them.
base=()
while IFS= read -r name; do
  case $name in
    SECRET) ;;
    BASE) base+=("$name=${!name}") ;;
  esac
done < <(compgen -e)
run() { env -i "${base[@]}" "$@" < /dev/null; }

# Begins a stage: its name, and the name of a build directory that it shares, if it does.
stage() {
  echo "== $1" >&2
  local dir=$WORK/stages/$1
  build=$dir/build out=$dir/out scratch=$dir/scratch committed=$dir/committed
  [ $# = 1 ] || build=$WORK/workspaces/$2
  rm -rf "$out" "$scratch" "$committed"
  mkdir -p "$build" "$out" "$scratch" "$committed"
}

# Where the next command runs.
inside() { mkdir -p "$1" && cd "$1"; }

#? compilers
# Compilers that add flags to each call that has an input: a directory, the C and the C++ compiler, the flags.
compilers() {
  local dir=$1 name real
  mkdir -p "$dir"
  for name in cc c++; do
    if [ $name = cc ]; then real=$2; else real=$3; fi
    {
      printf '#!/usr/bin/env bash\nflags=('
      [ $# -lt 4 ] || printf ' %q' "${@:4}"
      printf ' )\nfor word; do case $word in -cc1*) flags=(); break ;; -?*) ;; *) input=1 ;; esac; done\n'
      printf 'exec %q "$@" ${input+"${flags[@]}"}\n' "$real"
    } > "$dir/$name"
    chmod +x "$dir/$name"
  done
}

#? capture
# Copies a result out of a build directory; a link to a file is followed.
capture() {
  test -e "$1" || fail "there is no $1, which is declared as an output"
  rm -rf "$2"
  mkdir -p "$(dirname "$2")"
  if [ -d "$1" ]; then mkdir "$2" && cp -a "$1/." "$2/"; else cp -pL "$1" "$2"; fi
}

#? deliver
# Puts an output into the directory of the first argument.
deliver() {
  local to=$OUT/$2
  rm -rf "$to"
  mkdir -p "$(dirname "$to")"
  if [ -d "$1" ]; then mkdir "$to" && cp -a "$1/." "$to/"; else cp -pL "$1" "$to"; fi
}

#? has_section
# Whether a file, or a file below a directory, has a section of this name.
has_section() {
  local file
  while IFS= read -r -d '' file; do
    if readelf -SW "$file" 2> /dev/null | grep -F " $1 " > /dev/null; then return 0; fi
  done < <(find -L "$2" -type f -print0)
  return 1
}
command -v readelf > /dev/null || fail 'readelf (package binutils) is not installed'

#? only
# The one file that a pattern matches.
only() {
  [ $# = 1 ] && [ -e "$1" ] || fail "not exactly one file: $*"
  printf '%s\n' "$1"
}

#? weigh
# A list of merged profiles for the tool that merges them. Each lies in the directory of its workload; its counts are multiplied by a whole
# number, so that the workload has its share.
weigh() {
  local format=$1 tool=$2 how=$3 dir=$4 number=0 file workload weight times total word
  shift 4
  while IFS= read -r file; do
    workload=$(basename "$(dirname "$file")")
    weight=1
    for word in $(seq 1 2 $#); do
      if [ "${!word}" = "$workload" ]; then word=$((word + 1)); weight=${!word}; break; fi
    done
    times=$weight
    if [ "$how" = balance ]; then
      if [ "$format" = profdata ]; then
        # Counts of both levels.
        total=$({ "$tool" show --detailed-summary "$file"; "$tool" show --detailed-summary --showcs "$file"; } |
          sed -n 's/^Total count: //p' | awk '{ total += $1 } END { printf "%.0f", total }')
      else
        total=$(awk '{ gsub(/\\ /, "_") } $1 == 1 || NF > 4 && $4 == 1 { total += $NF } END { printf "%.0f", total }' "$file")
      fi
      times=$((total > 0 ? ((weight << 48) + total / 2) / total : 1))
      [ "$times" -gt 0 ] || times=1
    fi
    if [ "$format" = profdata ]; then
      printf '%s,%s\n' "$times" "$file"
    else
      number=$((number + 1))
      awk -v times="$times" '
        !/^[0-9]/ { print; next }
        {
          line = place = $0
          gsub(/\\ /, "_", line)
          words = split(line, word, " ")
          counts = words > 4 ? 2 : 1
          sub(counts == 2 ? " [0-9]+ [0-9]+$" : " [0-9]+$", "", place)
          printf "%s", place
          for (i = words - counts + 1; i <= words; i++) printf " %.0f", word[i] * times
          print ""
        }' "$file" > "$dir/weighed-$number.fdata"
      printf '"%s"\n' "$dir/weighed-$number.fdata"
    fi
  done
}

#? content_hash
# A hash of the content of a file or a directory.
content_hash() {
  (cd "$(dirname "$1")" && find "$(basename "$1")" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-20)
}

#? (in_word
# A value in a script for sh: as a word.
in_word() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

#? (in_single
# Between single quotes.
in_single() { printf '%s' "${1//\'/\'\\\'\'}"; }

#? (in_double
# Between double quotes.
in_double() { printf '%s' "$1" | sed -e 's/[\\"$`]/\\&/g'; }

#? "$OPTBUILD" op
# For what no plain tool does.
OPTBUILD=${OPTBUILD:-optbuild}
command -v "$OPTBUILD" > /dev/null || fail 'optbuild is not in PATH; set OPTBUILD to its path'

