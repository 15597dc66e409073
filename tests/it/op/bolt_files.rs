//! What llvm-bolt cannot do with a file, and what it loses of one, on files that clang and gcc link and llvm-bolt writes.

use crate::support::dir::{Dir, LIBRARY, LLVM, PROGRAM, error, fact, op};
use camino::Utf8PathBuf;
use optbuild::event::Fact;

/// In which `work` stands in line 2.
fn sources() -> Dir {
    let dir = Dir::new();
    // Names of many files make sections that are worth compressing.
    let more =
        ["stdio", "stdlib", "string", "math", "time", "signal", "pthread", "unistd", "fcntl", "sys/stat", "sys/socket"];
    let more: String = more.iter().map(|name| format!("#include <{name}.h>\n")).collect();
    dir.write(
        "lib.c",
        format!("{LIBRARY}{more}struct stat a; struct tm b; FILE *c; pthread_t d; div_t e; siginfo_t f;\n"),
    );
    dir.write("main.c", PROGRAM);
    dir
}

fn warnings(facts: &[Fact]) -> Vec<&str> {
    facts.iter().filter_map(Fact::warned).collect()
}

fn notes(facts: &[Fact]) -> Vec<&str> {
    facts.iter().filter_map(Fact::noted).collect()
}

fn printed(dir: &Dir, script: &str) -> String {
    String::from_utf8_lossy(&dir.sh(script).stdout).into_owned()
}

/// `file:line` of the first instruction of a function, as another program finds it.
fn line_of(dir: &Dir, file: &str, function: &str) -> String {
    let script = format!(
        "a=$(llvm-nm {file} | sed -n 's/^\\([0-9a-f]*\\) T {function}$/\\1/p'); llvm-symbolizer --basenames -e {file} 0x$a | sed -n 2p"
    );
    let line = printed(dir, &script);
    line.trim().rsplit_once(':').map_or(String::new(), |(line, _)| line.to_owned())
}

/// Debug sections of a file that are compressed, and how, as readelf says.
fn compression(dir: &Dir, file: &str) -> Vec<String> {
    let text =
        printed(dir, &format!("llvm-readelf -t {file} | grep -A4 '\\.debug_info' | grep -oE 'ZLIB|ZSTD' || true"));
    text.lines().map(str::to_owned).collect()
}

const OPTIONS: &str = "-reorder-blocks=ext-tsp -split-functions -update-debug-sections";

#[test]
fn debug_information_that_was_compressed_can_be_read_after_bolt() {
    let dir = sources();
    let objcopy = format!("{LLVM}/llvm-objcopy");
    let ways = [
        // As the compiler and the linker of LLVM do it.
        ("zstd", "-gz=zstd -fuse-ld=lld -Wl,--compress-debug-sections=zstd"),
        ("zlib", "-gz=zlib -fuse-ld=lld -Wl,--compress-debug-sections=zlib"),
        // With these, llvm-bolt 22 never ends, and writes an error all the while.
        ("zlib", "-gz=zlib -fuse-ld=bfd -Wl,--compress-debug-sections=zlib"),
        ("", "-fuse-ld=lld"),
    ];
    for (number, (how, flags)) in ways.into_iter().enumerate() {
        let [file, plain, bolted] = ["file", "plain", "bolted"].map(|name| format!("{name}-{number}.so"));
        dir.sh(&format!("clang -O2 -g -shared -fPIC lib.c -o {file} -Wl,--emit-relocs {flags}"));
        assert_eq!(compression(&dir, &file).join(" ").to_lowercase(), how, "{flags}");
        let path = |name: &str| dir.join(name).into_string();
        let facts = op(&["plain-debug", "--objcopy", &objcopy, "--output", &path(&plain), &path(&file)]).unwrap();
        assert_eq!(notes(&facts).len(), usize::from(!how.is_empty()), "{facts:?}");
        assert_eq!(dir.join(&plain).is_symlink(), how.is_empty());
        dir.sh(&format!("llvm-bolt {plain} -o {bolted} {OPTIONS} 2> bolt.log"));
        op(&["compress-like", "--like", &path(&file), "--objcopy", &objcopy, &path(&bolted)]).unwrap();
        let facts = op(&["check-bolted", "--input", &path(&file), &path(&bolted)]).unwrap();
        assert_eq!(warnings(&facts), [""; 0]);
        assert_eq!(compression(&dir, &bolted).join(" ").to_lowercase(), how, "{flags}");
        // GNU ld lets names share their ends, which is an error to llvm-dwarfdump, before as after.
        let errors =
            |file: &str| printed(&dir, &format!("llvm-dwarfdump --verify {file} | grep '^error' | sort || true"));
        assert_eq!(errors(&bolted), errors(&file), "{flags}");
        for file in [&file, &bolted] {
            assert_eq!(line_of(&dir, file, "work"), "lib.c:2", "{file}: {flags}");
        }
    }
}

#[test]
fn compressed_debug_information_is_refused_where_nothing_can_decompress_it() {
    let dir = sources();
    dir.sh("clang -O2 -g -shared -fPIC lib.c -o file.so -fuse-ld=lld -Wl,--emit-relocs -Wl,--compress-debug-sections=zstd
         gcc -O2 -g -shared -fPIC lib.c -o old.so -fuse-ld=bfd -Wl,--emit-relocs -Wl,--compress-debug-sections=zlib-gnu");
    let path = |name: &str| dir.join(name).into_string();
    let message = error(&["plain-debug", "--output", &path("plain.so"), &path("file.so")]);
    for part in
        ["compressed (zstd)", "Install the llvm-objcopy", "--compress-debug-sections=none", "-update-debug-sections"]
    {
        assert!(message.contains(part), "{message}");
    }
    // That of LLVM 22 leaves those sections as they are.
    let objcopy = format!("{LLVM}/llvm-objcopy");
    let message = error(&["plain-debug", "--objcopy", &objcopy, "--output", &path("plain.so"), &path("old.so")]);
    assert!(message.contains("zlib-gnu") && message.contains("--compress-debug-sections=none"), "{message}");
}

/// What llvm-bolt 22 leaves when it gets compressed sections: they have the flag, and are not compressed.
#[test]
fn debug_information_that_nobody_can_read_is_noticed() {
    let dir = sources();
    // With more types llvm-bolt does not end.
    dir.write("lib.c", LIBRARY);
    dir.sh(&format!(
        "clang -O2 -g -shared -fPIC lib.c -o file.so -gz=zstd -fuse-ld=lld -Wl,--emit-relocs -Wl,--compress-debug-sections=zstd
         llvm-bolt file.so -o bolted.so {OPTIONS} 2> bolt.log
         llvm-bolt file.so -o without.so -reorder-blocks=ext-tsp 2> bolt.log"
    ));
    let path = |name: &str| dir.join(name).into_string();
    assert_ne!(line_of(&dir, "bolted.so", "work"), "lib.c:2");
    let message = error(&["check-bolted", "--input", &path("file.so"), &path("bolted.so")]);
    assert!(message.contains("cannot be read") && message.contains("-update-debug-sections"), "{message}");
    let facts = op(&["check-bolted", "--input", &path("file.so"), &path("without.so")]).unwrap();
    let [warning] = warnings(&facts)[..] else { panic!("{facts:?}") };
    assert!(warning.contains("no debug information") && warning.contains("-update-debug-sections"), "{warning}");
}

#[test]
fn static_programs_are_refused_before_they_are_instrumented_in_vain() {
    let dir = sources();
    dir.sh("cat lib.c main.c > all.c
         clang -O2 all.c -o static -static -Wl,--emit-relocs
         clang -O2 all.c -o static-pie -static-pie -Wl,--emit-relocs
         clang -O2 all.c -o pie -Wl,--emit-relocs");
    let checked = |name: &str, options: &[&str]| {
        let file = dir.join(name).into_string();
        op(&[&["check-bolt-input"], options, &[file.as_str()]].concat()).map_err(|error| format!("{error:#}"))
    };
    let says = |name: &str, options: &[&str], parts: &[&str]| {
        let message = checked(name, options).unwrap_err();
        parts.iter().for_each(|part| assert!(message.contains(part), "{message}"));
    };
    // What is only optimised is never run by training.
    for name in ["static", "static-pie", "pie"] {
        checked(name, &["--llvm", "22"]).unwrap();
    }
    let sleep = "extra-options = [\"-instrumentation-sleep-time=1\"]";
    let others = ["-crt-static", "method = \"sampling\""];
    says("static", &["--llvm", "19", "--instrument"], &[&["a static executable", sleep][..], &others].concat());
    checked("static", &["--llvm", "19", "--instrument", "--sleeps"]).unwrap();
    let never = [&["llvm-bolt 22", "never writes a profile"][..], &others].concat();
    says("static", &["--llvm", "22", "--instrument", "--sleeps"], &[&never[..], &["such as 19"]].concat());
    says("static-pie", &["--llvm", "22", "--instrument"], &[&never[..], &["llvm-bolt 23"]].concat());
    says("static-pie", &["--llvm", "22", "--instrument", "--sleeps"], &never);
    says("static-pie", &["--llvm", "23", "--instrument"], &[sleep]);
    checked("static-pie", &["--llvm", "23", "--instrument", "--sleeps"]).unwrap();
    checked("pie", &["--llvm", "22", "--instrument"]).unwrap();
    // llvm-bolt 22 itself: with the option that it asks for, there is no profile either.
    let refused = dir.sh("! llvm-bolt static -instrument -o out 2>&1");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("instrumentation-sleep-time"));
    for name in ["static", "static-pie"] {
        let begun = printed(
            &dir,
            &format!(
                "mkdir -p {name}.d; llvm-bolt {name} -instrument -instrumentation-sleep-time=1 -o out \
                 --instrumentation-file=$PWD/{name}.d/prof > bolt.log 2>&1; ./out 10; ls {name}.d"
            ),
        );
        // What is going to write makes its file at the very beginning.
        assert_eq!(begun.lines().count(), 1, "{begun}");
    }
}

/// A pointer at an odd address, and others.
const POINTERS: &str = "\
static int target;
static int work(int n) { return n + target++; }
int (*functions[])(int) = { work, work, work };
struct __attribute__((packed)) { char c; int *pointer; } odd = { 1, &target };
";

#[test]
fn packed_relative_relocations_are_refused_where_bolt_would_break_them() {
    let dir = Dir::new();
    dir.write("odd.c", POINTERS);
    dir.write("even.c", POINTERS.replace("__attribute__((packed))", ""));
    let link = |flags: &str| format!("clang -O2 -shared -fPIC -fuse-ld=lld -Wl,--emit-relocs {flags}");
    let packed = link("-Wl,-z,pack-relative-relocs");
    dir.sh(&format!("{packed} odd.c -o odd.so; {packed} even.c -o even.so; {} odd.c -o plain.so", link("")));
    let counted = |name: &str| {
        printed(&dir, &format!("readelf -rW {name} | grep -c R_X86_64_RELATIVE || true")).trim().to_owned()
    };
    assert_eq!([counted("odd.so"), counted("even.so")], ["1", "0"]);
    assert!(printed(&dir, "readelf -SW even.so").contains(".relr.dyn"));
    let checked = |name: &str, llvm: &str| {
        let checked = op(&["check-bolt-input", "--llvm", llvm, dir.join(name).as_str()]);
        checked.map_err(|error| format!("{error:#}"))
    };
    let message = checked("odd.so", "22").unwrap_err();
    for part in
        ["RELR", "1 that cannot be packed", "llvm-bolt 22", "Offset overflow", "nopack-relative-relocs", "llvm-bolt 23"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert!(warnings(&checked("odd.so", "16").unwrap())[0].contains("does not know"));
    let facts = checked("even.so", "22").unwrap();
    assert!(warnings(&facts)[0].contains("computed gotos"), "{facts:?}");
    for name in ["odd.so", "even.so"] {
        assert_eq!(checked(name, "23"), Ok(vec![]));
    }
    assert_eq!(checked("plain.so", "16"), Ok(vec![]));
    // llvm-bolt 22 itself.
    let refused = dir.sh("! llvm-bolt odd.so -o out.so -reorder-blocks=ext-tsp 2>&1");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("Offset overflow"));
}

/// What a packager has linkers do. Start files of this machine may lack the properties, which are forced upon the whole.
const HARDENED: &str =
    "-fcf-protection -Wl,-z,relro,-z,now,-z,force-ibt,-z,shstk,--version-script=versions,-soname,libw.so.1";

fn link(dir: &Dir, file: &str, flags: &str) {
    dir.write("versions", "W_1 { global: work; local: *; };\n");
    dir.sh(&format!("clang -O2 -g -shared -fPIC lib.c -o {file} -fuse-ld=lld -Wl,--emit-relocs {flags}"));
}

fn hardened(dir: &Dir) -> Utf8PathBuf {
    link(dir, "file.so", HARDENED);
    dir.join("file.so")
}

#[test]
fn what_bolt_loses_fails_with_the_option_that_does_it() {
    let dir = sources();
    let file = hardened(&dir);
    let written = |options: &str| {
        dir.sh(&format!("llvm-bolt file.so -o bolted.so {options} 2> bolt.log"));
        op(&["check-bolted", "--input", file.as_str(), dir.join("bolted.so").as_str()])
            .map_err(|error| format!("{error:#}"))
    };
    let facts = written(OPTIONS).unwrap();
    assert!(fact(&facts, "size").unwrap() > 0.0);
    assert_eq!(warnings(&facts), [""; 0]);
    let [note] = notes(&facts)[..] else { panic!("{facts:?}") };
    assert!(note.contains("times the size") && note.contains("-no-huge-pages"), "{note}");
    // readelf agrees that nothing is lost.
    for (what, lines) in [
        ("-lW", vec!["GNU_STACK", "GNU_RELRO"]),
        ("-dW", vec!["BIND_NOW", "libw.so.1"]),
        ("-nW", vec!["IBT, SHSTK"]),
        ("-VW", vec!["W_1"]),
    ] {
        let text = printed(&dir, &format!("readelf {what} bolted.so"));
        lines.iter().for_each(|line| assert!(text.contains(line), "{text}"));
    }
    let message = written("--use-gnu-stack").unwrap_err();
    for part in ["lost GNU_STACK", "glibc 2.41", "`--use-gnu-stack` does that", "Take `--use-gnu-stack` out"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!printed(&dir, "readelf -lW bolted.so").contains("GNU_STACK"));
}

/// Losses that no option of llvm-bolt 22 is known for, made by others.
#[test]
fn whatever_is_lost_is_named() {
    let dir = sources();
    let file = hardened(&dir);
    dir.sh(&format!("llvm-bolt file.so -o bolted.so {OPTIONS} 2> bolt.log"));
    let checked = || error(&["check-bolted", "--input", file.as_str(), dir.join("bolted.so").as_str()]);
    let link = |flags: &str| {
        link(&dir, "other.so", flags);
        dir.sh(&format!("llvm-bolt other.so -o bolted.so {OPTIONS} 2> bolt.log"));
    };
    for (from, to, lost) in [
        ("-z,relro", "-z,norelro", "GNU_RELRO"),
        ("-z,now", "-z,lazy", "BIND_NOW"),
        ("-z,force-ibt,", "", "IBT"),
        ("-z,shstk,", "", "SHSTK"),
        (",--version-script=versions", "", "version W_1"),
        (",-soname,libw.so.1", "", "name libw.so.1"),
    ] {
        link(&HARDENED.replace(from, to));
        let message = checked();
        assert!(
            message.contains("has lost") && message.contains(lost) && message.contains("-split-functions"),
            "{message}"
        );
    }
    link(HARDENED);
    op(&["check-bolted", "--input", file.as_str(), dir.join("bolted.so").as_str()]).unwrap();
}

/// A line of a profile has two names, and llvm-bolt 22 has 10,240 bytes for it. `c` calls a function with a long name and is fine; `b`
/// calls it, too, and has half a long name itself.
#[test]
fn functions_with_names_that_are_too_long_are_left_out() {
    let dir = Dir::new();
    let (a, b) = ("a".repeat(6000), "b".repeat(4500));
    let far = "__attribute__((noinline))";
    dir.write(
        "n.c",
        format!(
            "{far} int {a}(int n) {{ int s = 0; for (int i = 0; i < n; i++) {{ if (i % 3) s += i * n; else s ^= i; }} return s; }}\n\
             {far} int {b}(int n) {{ return {a}(n) + 1; }}\n{far} int c(int n) {{ return {a}(n) + 2; }}\n\
             int main(int k, char **v) {{ int s = 0; for (int i = 0; i < 9; i++) s += {b}(i + k) + c(i); return s == 12345; }}\n"
        ),
    );
    let instrument = "llvm-bolt n -instrument -instrumentation-file=$PWD/n.fdata -o n.i @leave-out > log 2>&1; ./n.i";
    dir.sh("clang -O1 n.c -o n -Wl,--emit-relocs");
    let (file, options) = (dir.join("n"), dir.join("leave-out"));
    let words = ["check-bolt-input", "--llvm", "22", "--instrument", "--leave-out", options.as_str(), file.as_str()];
    let facts = op(&words).unwrap();
    let warned = warnings(&facts).join("\n");
    assert!(warned.contains("1 function of ") && warned.contains("and 1 function that call"), "{warned}");
    let left_out = std::fs::read_to_string(&options).unwrap();
    assert_eq!(left_out.lines().count(), 2, "{left_out}");
    // The runtime ends with a failed assertion otherwise.
    let whole = dir.sh(&format!("sed -i /aaa/d leave-out; ({instrument}) 2>&1 || true"));
    assert!(String::from_utf8_lossy(&whole.stdout).contains("function name too large"), "{whole:?}");
    std::fs::write(&options, left_out).unwrap();
    dir.sh(instrument);
    let profile = std::fs::read_to_string(dir.join("n.fdata")).unwrap();
    // `main` goes round nine times.
    assert!(
        profile.lines().any(|line| line.starts_with("1 main ") && line.ends_with(" 0 9")),
        "{}",
        &profile[..2000.min(profile.len())]
    );
    // Of a file with short names nothing is left out.
    dir.sh("sed -i 's/a\\{6000\\}/a/g' n.c; clang -O1 n.c -o n -Wl,--emit-relocs");
    assert!(warnings(&op(&words).unwrap()).is_empty());
    assert_eq!(std::fs::read_to_string(&options).unwrap(), "");
}
