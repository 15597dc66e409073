//! Holds what optbuild makes of raw profiles against what llvm-profdata makes of the same files.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::profile::header::Header;
use optbuild::profile::indexed;
use optbuild::profile::raw::{self, Folded};

use crate::support::dir::{Dir, LLVM};
use crate::support::needs::libraries;

/// All files below a directory, sorted.
pub fn files(below: &Utf8Path) -> Vec<Utf8PathBuf> {
    optbuild::profile::find(below, |path| path.extension() == Some("profraw"))
        .unwrap()
        .into_iter()
        .map(|f| f.path)
        .collect()
}

pub struct Compared {
    pub folded: Folded,
    pub ours: Vec<u8>,
    pub theirs: Vec<u8>,
    pub ours_shown: String,
    pub theirs_shown: String,
}

/// Merges files both ways.
pub fn compare(dir: &Dir, bin: &str, files: &[Utf8PathBuf], threads: usize) -> Compared {
    let work = dir.join("work");
    std::fs::create_dir_all(&work).unwrap();
    let folded = raw::fold(files, &work, threads).unwrap();
    let merge = |files: &[Utf8PathBuf], output: &str| {
        let list = dir.write("list", files.iter().map(|path| format!("1,{path}\n")).collect::<String>());
        tool(bin, &["merge", "-num-threads=1", &format!("--input-files={list}"), "-o", dir.join(output).as_str()]);
        let shown = tool(
            bin,
            &[
                "show",
                "--all-functions",
                "--counts",
                "--ic-targets",
                "--memop-sizes",
                "--binary-ids",
                dir.join(output).as_str(),
            ],
        );
        (std::fs::read(dir.join(output)).unwrap(), shown)
    };
    let (ours, ours_shown) = merge(&folded.left, "ours.profdata");
    // What optbuild writes itself of what is left is what the tool writes.
    if let Ok(profile) = indexed::Profile::read(&folded.left).unwrap() {
        let version = Header::read(&dir.join("ours.profdata")).unwrap().unwrap().version;
        assert!(
            profile.write(version).is_none_or(|written| written == ours),
            "version {version} is written differently"
        );
        // And reading it back finds nothing in what the tool wrote.
        if (11..=13).contains(&version) {
            assert_eq!(indexed::check(&ours, &profile, version), Ok(()));
        }
    }
    let (theirs, theirs_shown) = merge(files, "theirs.profdata");
    Compared { folded, ours, theirs, ours_shown, theirs_shown }
}

/// That all were added up, and the result is byte for byte llvm-profdata's.
pub fn assert_equal(dir: &Dir, bin: &str, binaries: usize) {
    let all = files(&dir.join("raw"));
    assert!(all.len() > binaries, "{} files", all.len());
    for threads in [1, 3] {
        let compared = compare(dir, bin, &all, threads);
        assert_eq!(compared.folded.handed, [], "nothing is left to llvm-profdata");
        assert_eq!(compared.folded.damaged, []);
        assert_eq!(compared.folded.added, all.len());
        assert_eq!(compared.folded.left.len(), binaries);
        assert_eq!(compared.ours_shown, compared.theirs_shown);
        assert!(compared.ours == compared.theirs, "the same is shown, but the bytes differ");
    }
}

pub fn tool(bin: &str, args: &[&str]) -> String {
    let program = format!("{bin}/llvm-profdata");
    let output = Command::new(&program).args(args).env("LD_LIBRARY_PATH", libraries(bin)).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Compiles with a script in which `$CC` is clang, and runs `./prog N` so many times.
pub fn run(dir: &Dir, bin: &str, script: &str, times: usize) {
    let clang =
        if bin == LLVM { "clang".to_string() } else { format!("env LD_LIBRARY_PATH={} {bin}/clang", libraries(bin)) };
    dir.sh(&format!("CC='{clang}'; {script}"));
    dir.sh(&format!("for i in $(seq {times}); do LLVM_PROFILE_FILE=$PWD/raw/$i-%m.profraw ./prog $i; done"));
}

/// Calls through pointers (21 targets, many of them equally often), sizes of memory operations, branches.
pub const VALUES: &str = r#"
#include <stdlib.h>
#include <string.h>
#define F(n) __attribute__((noinline)) static int f##n(int x) { return x * n + (x % (n + 1) ? 3 : 5); }
F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19) F(20) F(21)
static int (*table[])(int) = {f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21};
__attribute__((noinline)) static int never(int x) { return x ? table[x % 21](x) : 0; }
__attribute__((noinline)) static void copy(char *to, const char *from, size_t size) { memcpy(to, from, size); }
int more(int x);
int main(int count, char **words) {
  int n = count > 1 ? atoi(words[1]) : 1;
  char from[9000] = {0}, to[9000];
  volatile int sum = 0;
  for (int i = 0; i < 42 + n; i++) {
    sum += table[(i * n) % 21](i);
    if (i % 3 == 0) copy(to, from, (size_t)(i * n) % 9000);
    sum += to[i % 10];
  }
  if (n < 0) sum += never(n);
#ifdef MORE
  sum += more(n);
#endif
  return sum == 12345678;
}
"#;
