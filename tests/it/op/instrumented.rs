//! Which functions of a program are instrumented: real programs, of which a part is not.

use optbuild::event::Fact;
use optbuild::profile::instrumented::is_of_toolchain;

use crate::support::dir::{Dir, error, fact, op};

/// Six functions, one of them here.
const MAIN: &str = "int area(int), fold(int), pick(int), turn(int); int main(int c, char **v) { (void)v; return area(c) + fold(c) + pick(c) + turn(c); }\n";
/// The others; `local` has a name that is known in its file alone.
const LIBRARY: &str = "\
#define F __attribute__((noinline))
F int area(int n) { return n * n; }
F int fold(int n) { int s = 1; while (n-- > 1) s *= n; return s; }
F int pick(int n) { return n > 5 ? 3 : 4; }
F static int local(int n) { return n % 7 ? n : -n; }
F int turn(int n) { return local(n) + local(n + 1); }
";

fn count(dir: &Dir, path: &str, least: &str) -> Vec<Fact> {
    op(&["count-instrumented", dir.join(path).as_str(), "--min-instrumented", least]).unwrap()
}

fn warnings(facts: &[Fact]) -> Vec<&str> {
    facts.iter().filter_map(Fact::warned).collect()
}

fn numbers(facts: &[Fact]) -> (Option<f64>, Option<f64>) {
    (fact(facts, "instrumented-functions"), fact(facts, "functions-without-counters"))
}

#[test]
fn a_library_without_counters_is_named() {
    let dir = Dir::new();
    dir.write("main.c", MAIN);
    dir.write("lib.c", LIBRARY);
    for (linker, level) in
        [("lld", "-fprofile-generate"), ("bfd", "-fprofile-generate"), ("lld", "-fprofile-instr-generate")]
    {
        dir.sh(&format!(
            "clang -O1 -c lib.c -o lib.o && rm -f libpart.a && llvm-ar rc libpart.a lib.o &&
             clang -O1 {level} -fuse-ld={linker} main.c libpart.a -o prog && clang -O1 {level} main.c lib.c -o whole"
        ));
        let facts = count(&dir, "prog", "0%");
        assert_eq!(numbers(&facts), (Some(1.0), Some(5.0)), "{linker} {level}");
        let said = warnings(&facts);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("5 of 6 functions in prog are not instrumented"), "{said:?}");
        assert!(said[0].contains("area, fold, local, pick, turn"), "{said:?}");
        let said = error(&["count-instrumented", dir.join("prog").as_str(), "--min-instrumented", "20%"]);
        assert!(said.contains("`min-instrumented` asks for 20%") && said.contains("area, fold, local"), "{said}");
        assert_eq!(warnings(&count(&dir, "prog", "16%")).len(), 1);

        let facts = count(&dir, "whole", "100%");
        assert_eq!((numbers(&facts), warnings(&facts)), ((Some(6.0), Some(0.0)), Vec::new()), "{linker} {level}");
    }
    // A directory: each file once, whatever links lead to it.
    dir.sh("mkdir -p bin && cp prog bin && ln -s prog bin/other && ln bin/prog bin/third && echo text > bin/notes && clang main.c lib.c -o bin/plain");
    assert_eq!(numbers(&count(&dir, "bin", "0%")), (Some(2.0), Some(10.0)));
}

/// Nothing is said where nothing is known: of stripped programs, of those with libraries in them, and where nothing is instrumented.
#[test]
fn what_cannot_be_known_is_not_said() {
    let dir = Dir::new();
    dir.write("main.c", MAIN);
    dir.write("lib.c", LIBRARY);
    dir.sh(
        "clang -O1 -c lib.c -o lib.o && clang -O1 -fprofile-generate main.c lib.o -o prog && clang -O1 main.c lib.c -o plain &&
         clang -O1 -fprofile-generate -static main.c lib.o -o static && llvm-strip prog -o stripped",
    );
    for name in ["stripped", "static", "plain"] {
        assert_eq!(count(&dir, name, "0%"), [], "{name}");
    }
    for name in ["stripped", "static"] {
        let said = error(&["count-instrumented", dir.join(name).as_str(), "--min-instrumented", "90%"]);
        assert!(said.contains("is not known") && said.contains("leave `min-instrumented` out"), "{name}: {said}");
    }
    dir.write("x.cpp", "#include <iostream>\nint main() { std::cout << 1; throw 1; }\n");
    dir.sh("clang++ -fprofile-generate -static-libstdc++ -static-libgcc x.cpp -o runtime");
    assert_eq!(count(&dir, "runtime", "0%"), []);
    // That is the business of `check-instrumented`.
    assert_eq!(count(&dir, "plain", "90%"), []);
}

/// Libraries that come with compilers are linked into every program.
#[test]
fn a_whole_program_has_nothing_to_be_warned_of() {
    let dir = Dir::new();
    dir.write(
        "x.cpp",
        "#include <algorithm>\n#include <iostream>\n#include <map>\n#include <stdexcept>\n#include <string>\n#include <vector>\n\
         namespace { struct T { int a; bool operator<(const T &o) const { return a < o.a; } }; }\n\
         struct Base { virtual ~Base() {} virtual int get() const = 0; };\n\
         struct Left : virtual Base { int get() const override { return 1; } };\n\
         struct Right : Left { Right() {} ~Right() override {} std::string name; };\n\
         static std::map<std::string, std::vector<T>> all;\n\
         int main(int c, char **) {\n  all[\"a\"].push_back(T{c}); std::sort(all[\"a\"].begin(), all[\"a\"].end());\n  Right right;\n\
         \u{20} try { if (c > 100) throw std::runtime_error(\"no\"); } catch (const std::exception &e) { std::cerr << e.what(); }\n\
         \u{20} std::cout << right.get() + all.size() << std::endl; return 0; }\n",
    );
    dir.write(
        "r.rs",
        "use std::collections::HashMap;\n#[derive(Debug, Clone, Hash, PartialEq, Eq, PartialOrd, Ord)] struct A(u64, String);\n\
         #[inline(never)] fn hot(v: &mut Vec<A>) { v.sort(); v.dedup(); }\n\
         fn main() { let mut v: Vec<A> = (0..100).rev().map(|n| A(n, n.to_string())).collect(); hot(&mut v);\n\
         let m: HashMap<A, usize> = v.iter().cloned().zip(0..).collect(); println!(\"{:?} {}\", m.get(&v[3]), std::env::args().count()); }\n",
    );
    for build in [
        "clang++ -O2 -fprofile-generate x.cpp -o prog",
        "clang++ -O0 -fprofile-generate -fuse-ld=lld x.cpp -o prog",
        "clang++ -O2 -flto=thin -fuse-ld=lld -fprofile-generate x.cpp -o prog",
        "rustc -Copt-level=3 -Cprofile-generate=. r.rs -o prog",
        "rustc -Copt-level=0 -Cprofile-generate=. -Csymbol-mangling-version=v0 r.rs -o prog",
    ] {
        dir.sh(build);
        let facts = count(&dir, "prog", "0%");
        assert_eq!(warnings(&facts), [""; 0], "{build}: {facts:?}");
        assert!(fact(&facts, "instrumented-functions").unwrap() > 3.0, "{build}: {facts:?}");
    }
}

#[test]
fn names_of_toolchains() {
    for name in [
        "_start",
        "__libc_csu_init",
        "_ZNSt6vectorIiSaIiEE9push_backERKi",
        "_ZNKSs4sizeEv",
        "_Znwm",
        "_ZN9__gnu_cxx27__verbose_terminate_handlerEv",
        "_RNvCs1234_7___rustc12___rust_alloc",
        "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
        "lprofWriteData",
        "atexit",
    ] {
        assert!(is_of_toolchain(name), "{name}");
    }
    for name in [
        "main",
        "area",
        "_ZN5shape4areaEi",
        "_Z4areai",
        "sqlite3_open",
        "_ZN3app4main17h0123456789abcdefE",
        "ZSTD_compress",
    ] {
        assert!(!is_of_toolchain(name), "{name}");
    }
}
