//! Raw profiles of C++ and Rust programs, added up, give the very file that llvm-profdata makes of them.

use crate::support::dir::{Dir, LLVM};
use crate::support::needs;
use crate::support::profile::{assert_equal, compare, files, run};

const CPP: &str = r#"
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>
struct Shape { virtual ~Shape() = default; virtual int area(int) const = 0; };
template <int N> struct Sized : Shape { int area(int x) const override { return x % (N + 1) ? N * x : x; } };
static std::unique_ptr<Shape> make(int kind) {
  switch (kind % 6) {
    case 0: return std::make_unique<Sized<1>>();
    case 1: return std::make_unique<Sized<2>>();
    case 2: return std::make_unique<Sized<3>>();
    case 3: return std::make_unique<Sized<4>>();
    case 4: return std::make_unique<Sized<5>>();
    default: return std::make_unique<Sized<6>>();
  }
}
int main(int, char **words) {
  int n = std::atoi(words[1]);
  std::vector<std::unique_ptr<Shape>> shapes;
  std::map<std::string, int> sums;
  for (int i = 0; i < 60 + n; i++) shapes.push_back(make(i * n));
  for (auto &shape : shapes) sums[std::string(n % 40, 'x') + std::to_string(shape->area(n))]++;
  return sums.size() > 100000;
}
"#;

const RUST: &str = r#"
use std::collections::BTreeMap;
trait Step { fn step(&self, x: u64) -> u64; }
macro_rules! steps { ($($name:ident $n:literal),*) => { $(struct $name; impl Step for $name {
    #[inline(never)] fn step(&self, x: u64) -> u64 { if x % 3 == 0 { x / 2 + $n } else { x * $n + 1 } } })*
    fn all() -> Vec<Box<dyn Step>> { vec![$(Box::new($name)),*] } } }
steps!(A 1, B 2, C 3, D 4, E 5, F 6, G 7);
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let (steps, mut seen, mut x) = (all(), BTreeMap::new(), 7u64);
    for i in 0..200 + n {
        x = steps[(i * n) % steps.len()].step(x % 1000);
        *seen.entry(format!("{x}")).or_insert(0) += vec![1u8; x as usize % 300].len();
    }
    println!("{}", seen.len());
}
"#;

#[test]
fn cplusplus_of_other_versions() {
    for major in [14, 16, 19] {
        let Some(bin) = needs::llvm(major) else { continue };
        let dir = Dir::new();
        dir.write("prog.cc", CPP);
        run(&dir, &bin, "$CC++ -O2 -fprofile-generate prog.cc -o prog", 12);
        equal_but_for_foreign_targets(&dir, &bin);
    }
}

#[test]
fn cplusplus() {
    for flags in ["-O2 -fprofile-generate", "-O1 -fprofile-instr-generate -fcoverage-mapping"] {
        let dir = Dir::new();
        dir.write("prog.cc", CPP);
        run(&dir, LLVM, &format!("$CC++ {flags} prog.cc -o prog"), 25);
        equal_but_for_foreign_targets(&dir, LLVM);
    }
}

#[test]
fn rust() {
    for flags in ["-O -Cprofile-generate=raw", "-O -Cinstrument-coverage"] {
        let dir = Dir::new();
        dir.write("prog.rs", RUST);
        run(&dir, LLVM, &format!("rustc {flags} prog.rs -o prog"), 25);
        equal_but_for_foreign_targets(&dir, LLVM);
    }
}

/// Where no site calls two functions of other binaries, the bytes are equal.
fn equal_but_for_foreign_targets(dir: &Dir, bin: &str) {
    let all = files(&dir.join("raw"));
    let compared = compare(dir, bin, &all, 2);
    let foreign = compared.theirs_shown.lines().any(|line| line.starts_with("\t[") && line.contains(", , "));
    if !foreign {
        return assert_equal(dir, bin, 1);
    }
    assert_eq!((compared.folded.added, compared.folded.left.len()), (all.len(), 1));
    let named = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !(line.starts_with("\t[") && line.contains(", , "))).map(String::from).collect()
    };
    assert_eq!(named(&compared.ours_shown), named(&compared.theirs_shown));
}
