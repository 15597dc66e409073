#!/bin/sh
# A program of the registry with PGO and BOLT, by cargo-pgo and by `optbuild run cargo`: the same crate, lock file, compiler, LLVM and
# training; then the two results against each other, on other commands.
#
# Usage: cargo-pgo.sh CRATE VERSION BIN TRAIN MEASURE [DIR]
# TRAIN and MEASURE are files with a command of a shell per line, which calls the program by its name, in DIR (default: here).
# LLVM names the directory of llvm-profdata, llvm-bolt and merge-fdata; BUDGET what each comparison may take.
set -eu
crate=$1 version=$2 bin=$3 train=$(realpath "$4") measure=$(realpath "$5") dir=$(realpath "${6:-.}")
PATH=${LLVM:-/usr/lib/llvm-22/bin}:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
now() { date +%s.%N; }
seconds() { echo "$1 $2" | awk '{ printf "%.0f s", $2 - $1 }'; }

# Sources are downloaded before any clock runs: those of the program by a package that names it, its dependencies by its lock file.
mkdir -p fetch/src && touch fetch/src/lib.rs
printf '[package]\nname = "fetch"\nedition = "2021"\n[dependencies]\n%s = "=%s"\n' "$crate" "$version" > fetch/Cargo.toml
cargo fetch --quiet --manifest-path fetch/Cargo.toml 2> /dev/null
cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$crate-$version" source
rm -f source/.cargo-ok
cargo fetch --quiet --locked --manifest-path source/Cargo.toml

# cargo-pgo: builds by hand, and the training by hand, twice.
triple=$(rustc -vV | sed -n 's/^host: //p')
release=$work/source/target/$triple/release
trained() { # PROGRAM: runs the training with it in the program's place
  mkdir -p "$work/bin" && ln -sfn "$1" "$work/bin/$bin"
  while read -r command; do (cd "$dir" && PATH="$work/bin:$PATH" sh -c "$command") > /dev/null; done < "$train"
}
by_hand() {
  # Where the package's release profile strips, lld refuses cargo-pgo's --emit-relocs: "--strip-all and --emit-relocs may not be used together".
  export CARGO_PROFILE_RELEASE_STRIP=none
  cargo pgo build -- --locked --bin "$bin"
  trained "$release/$bin"
  cargo pgo bolt build --with-pgo -- --locked --bin "$bin"
  trained "$release/$bin-bolt-instrumented"
  cargo pgo bolt optimize --with-pgo -- --locked --bin "$bin"
}
cd source
begin=$(now)
(by_hand) > "$work/by-hand.log" 2>&1 || { tail -30 "$work/by-hand.log" >&2; exit 1; }
theirs=$(seconds "$begin" "$(now)")
cd "$work"
mkdir theirs && cp "$release/$bin-bolt-optimized" "theirs/$bin"

# optbuild: one command, which builds the plain program too. The clock stops before its own comparison.
set -- --set "crate=$crate@$version" --set "bin=$bin" --set "dir=$dir" --set "budget=${BUDGET:-5m}"
while read -r command; do set -- "$@" --set "train=$(echo "$command" | sed 's/,/\\,/g')"; done < "$train"
while read -r command; do set -- "$@" --set "measure=$(echo "$command" | sed 's/,/\\,/g')"; done < "$measure"
begin=$(now)
optbuild run cargo "$@" --until bolted > optbuild.log 2>&1 || { tail -30 optbuild.log >&2; exit 1; }
ours=$(seconds "$begin" "$(now)")
optbuild run cargo "$@" >> optbuild.log 2>&1 || { tail -30 optbuild.log >&2; exit 1; }

echo "cargo-pgo $(cargo pgo --version | sed "s/.* //"): $theirs; optbuild, with a plain build: $ours"
echo "sizes in bytes: cargo-pgo $(stat -c %s "theirs/$bin"), optbuild $(stat -c %s "out/cargo/bin/$bin")"
printf '\nplain against optbuild\n\n'
cat out/cargo/comparison.md
printf '\ncargo-pgo against optbuild\n\n'
optbuild compare "theirs/$bin" "out/cargo/bin/$bin" --workloads cargo:compare --budget "${BUDGET:-5m}" --markdown "$@"
