//! Operations around llvm-bolt, on a real shared library.

use crate::support::dir::{Dir, LIBRARY, LLVM, PROGRAM, error, fact, op};
use camino::Utf8Path;

/// `lib/libw.so` with relocations, and `bin/main` that finds it.
fn built() -> Dir {
    let dir = Dir::new();
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", PROGRAM);
    dir.sh("mkdir -p tree/lib tree/bin
         clang -O2 -fuse-ld=lld -shared -fPIC lib.c -o tree/lib/libw.so.1 -Wl,--emit-relocs -Wl,-soname,libw.so.1
         ln -s libw.so.1 tree/lib/libw.so
         clang -O2 main.c -o tree/bin/main -Ltree/lib -lw -Wl,-rpath,'$ORIGIN/../lib'");
    dir
}

#[test]
fn what_bolt_cannot_rewrite_is_refused_with_a_remedy() {
    let dir = built();
    dir.sh("clang -O2 -fuse-ld=lld -shared -fPIC lib.c -o plain.so
         llvm-strip tree/lib/libw.so.1 -o stripped.so
         llvm-bolt tree/lib/libw.so.1 -o bolted.so 2> /dev/null
         ln tree/lib/libw.so.1 same.so");
    let path = |name: &str| dir.join(name);
    op(&["check-bolt-input", path("tree/lib/libw.so").as_str(), "--output", path("new.so").as_str()]).unwrap();
    let refused = |name: &str| error(&["check-bolt-input", path(name).as_str()]);
    assert!(refused("plain.so").contains("keep-relocations = true"));
    assert!(refused("stripped.so").contains("strip = false"));
    assert!(refused("bolted.so").contains("before"));
    assert!(refused("main.c").contains("not an ELF"));
    assert!(refused("missing.so").contains("cannot open"));
    let message = error(&["check-bolt-input", path("tree/lib/libw.so").as_str(), "--output", path("same.so").as_str()]);
    assert!(message.contains("same file"), "{message}");

    op(&["check-bolted", path("bolted.so").as_str()]).unwrap();
    assert!(error(&["check-bolted", path("plain.so").as_str()]).contains("note.bolt_info"));
}

#[test]
fn profiles_of_a_slot_go_into_the_attempt_and_become_one() {
    let dir = built();
    let prof = dir.join("slots/0/prof");
    let path_file = dir.write("slot-0.path", format!("{prof}\n"));
    dir.sh(&format!(
        "llvm-bolt tree/lib/libw.so -instrument --instrumentation-file={prof} --instrumentation-file-append-pid \
         -o instrumented.so 2> /dev/null"
    ));
    let instrumented = dir.join("instrumented.so");
    op(&["check-instrumented", "--format", "fdata", instrumented.as_str()]).unwrap();
    assert!(op(&["check-instrumented", "--format", "fdata", dir.join("tree").as_str()]).is_err());

    let [from, to, with] = ["tree", "shadow", "instrumented.so"].map(|name| dir.join(name));
    let shadow =
        ["shadow", "--from", from.as_str(), "--to", to.as_str(), "--replace", "lib/libw.so", "--with", with.as_str()];
    op(&shadow).unwrap();

    // Left over from an attempt that was killed.
    dir.write("slots/0/prof.1.fdata", "1 other 0 1 other 0 0 9\n");
    op(&["clear-slot", "--path-file", path_file.as_str()]).unwrap();
    dir.sh("shadow/bin/main 1000; shadow/bin/main 20");
    // Names of workloads have commas, at which merge-fdata would split.
    let attempt = dir.join("attempt[a=1,b=2]/raw");
    op(&["collect", "--path-file", path_file.as_str(), "--to", attempt.as_str()]).unwrap();
    assert_eq!(attempt.read_dir_utf8().unwrap().count(), 2);
    assert_eq!(dir.join("slots/0").read_dir_utf8().unwrap().count(), 0);

    dir.write("attempt[a=1,b=2]/raw/prof.7.fdata", "");
    dir.write("attempt[a=1,b=2]/raw/prof.8.fdata", "1 work 1 1 work 2 0 1\n".repeat(20) + "1 work 1 1 wo");
    let output = dir.join("attempt[a=1,b=2]/profile.fdata");
    let tool = format!("{LLVM}/merge-fdata");
    let merge =
        ["merge", "--format", "fdata", "--tool", &tool, "--input", attempt.as_str(), "--output", output.as_str()];
    assert!(error(&merge).contains("1 of 4 profiles are damaged"));
    let facts = op(&[&merge[..], &["--max-damaged", "25%"]].concat()).unwrap();
    assert_eq!(fact(&facts, "raw-profiles"), Some(4.0));
    assert_eq!(fact(&facts, "empty-profiles"), Some(1.0));
    assert_eq!(fact(&facts, "damaged-profiles"), Some(1.0));
    assert!(fact(&facts, "functions").unwrap() >= 2.0);
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(text.lines().any(|line| line.contains(" work ")), "{text}");
    assert!(!text.contains("other"), "{text}");
    assert!(text.lines().is_sorted(), "{text}");
    op(&["check-profile", "--profile", output.as_str(), "--compiler", "llvm-bolt"]).unwrap();
    // llvm-bolt takes the sorted profile.
    let bolt = dir
        .sh("llvm-bolt tree/lib/libw.so -o opt.so -data 'attempt[a=1,b=2]/profile.fdata' -reorder-blocks=ext-tsp 2>&1");
    let said = String::from_utf8_lossy(&bolt.stdout).into_owned();
    assert!(said.contains("have non-empty execution profile"), "{said}");
}

#[test]
fn no_bolt_profile_is_an_error_that_says_where() {
    let dir = built();
    let tool = format!("{LLVM}/merge-fdata");
    let (raw, output) = (dir.join("raw"), dir.join("profile.fdata"));
    let merge = ["merge", "--format", "fdata", "--tool", &tool, "--input", raw.as_str(), "--output", output.as_str()];
    let message = error(&merge);
    assert!(message.contains(raw.as_str()) && message.contains("no BOLT profile"), "{message}");
    dir.write("raw/prof.7.fdata", "");
    assert!(error(&merge).contains("none of the 1 profiles"));
}

#[test]
fn a_profile_without_functions_is_refused() {
    let dir = Dir::new();
    let profile = dir.write("profile.fdata", "0 [unknown] 0 0 [unknown] 0 0 2\n");
    let message = error(&["check-profile", "--profile", Utf8Path::as_str(&profile), "--compiler", "llvm-bolt"]);
    assert!(message.contains("no functions"), "{message}");
}

/// A program that BOLT has rewritten is stripped as another build of it is, and still works.
#[test]
fn what_is_stripped_like_another_build() {
    let dir = built();
    let tool = |name: &str| format!("{LLVM}/{name}");
    dir.write("main2.c", "int main(void) { return 0; }\n");
    dir.sh("mkdir -p new/bin like/bin some/bin
         clang -O2 -g -fuse-ld=lld main2.c -o new/bin/app -Wl,--emit-relocs
         cp new/bin/app new/bin/other; cp new/bin/app new/bin/kept
         llvm-bolt new/bin/app -o bolted 2> /dev/null; mv bolted new/bin/app
         clang -O2 -fuse-ld=lld main2.c -o like/bin/app -s
         clang -O2 -fuse-ld=lld main2.c -o like/bin/other
         clang -O2 -fuse-ld=lld main2.c -o some/bin/app -g");
    let (new, like) = (dir.join("new"), dir.join("like"));
    let objcopy = tool("llvm-objcopy");
    let strip = |objcopy: &str| op(&["strip-like", "--like", like.as_str(), "--objcopy", objcopy, new.as_str()]);
    let facts = strip(&objcopy).unwrap();
    assert!(fact(&facts, "after").unwrap() < fact(&facts, "before").unwrap());
    let sections = |file: &str| String::from_utf8_lossy(&dir.sh(&format!("readelf -SW {file}")).stdout).into_owned();
    let app = sections("new/bin/app");
    assert!(!app.contains(".symtab") && !app.contains(".debug_info") && app.contains(".bolt.org.text"), "{app}");
    // Of this one the other build has symbols, and no debug information.
    let other = sections("new/bin/other");
    assert!(other.contains(".symtab") && !other.contains(".debug_info") && !other.contains(".rela.text"), "{other}");
    // The other build has not got this one.
    assert!(sections("new/bin/kept").contains(".rela.text"));
    dir.sh("new/bin/app && new/bin/other && test -x new/bin/app");
    let nothing = error(&["strip-like", "--like", dir.join("tree").as_str(), "--objcopy", &objcopy, new.as_str()]);
    assert!(nothing.contains("how it is to be stripped is not known"), "{nothing}");
}
