//! The default options of llvm-bolt, for an llvm-bolt that knows all of them, and for others; and those that break something.

use crate::support::dir::Dir;
use optbuild::plan::Arg;
use optbuild::stage::bolt::broken::notes;
use optbuild::stage::bolt::options::{OPTIMIZE, defaults};
use optbuild::stage::bolt::words::words;

// Parts of what `llvm-bolt --help` of LLVM 22 prints.
const LLVM_22: &str = "\
BOLT optimization options:

  --dyno-stats                                          - print execution info based on profile
  --icf                                                 - fold functions with identical code
  --icf=<value>                                         - fold functions with identical code
    =all                                                -   Enable identical code folding
    =safe                                               -   Enable safe identical code folding
  --jump-tables=<value>                                 - jump tables support (default=basic)
    =none                                               -   do not optimize functions with jump tables
    =move                                               -   move jump tables to a separate section
  --reorder-blocks=<value>                              - change layout of basic blocks in a function
    =ext-tsp                                            -   perform layout optimizing I-cache behavior
  --reorder-functions=<value>                           - reorder and cluster functions (works only with relocations)
    =hfsort+                                            -   use cache-directed sort
    =cdsort                                             -   use cache-directed sort
  --reorder-functions-use-hot-size                      - use a function's hot size when doing clustering
  --split-all-cold                                      - outline as many cold basic blocks as possible
  --split-functions                                     - split functions into fragments
  --split-strategy=<value>                              - strategy used to partition blocks into fragments
    =profile2                                           -   split each function into a hot and cold fragment
    =cdsplit                                            -   split each function into a hot, warm, and cold fragment
  --update-debug-sections                               - update DWARF debug sections of the executable
";

/// As LLVM 16 prints it, which had neither `cdsort` nor `cdsplit`, and whose `-icf` was a switch.
fn llvm_16() -> String {
    let gone = ["=cdsort", "=cdsplit", "--icf=<value>", "=all ", "=safe"];
    let kept = LLVM_22.lines().filter(|line| !gone.iter().any(|gone| line.trim_start().starts_with(gone)));
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn all_of_it_where_it_is_known() {
    let all: Vec<&str> = OPTIMIZE.iter().map(|(option, _)| *option).collect();
    assert_eq!(defaults(Some(LLVM_22), false), (all.iter().map(ToString::to_string).collect(), vec![]));
    assert_eq!(defaults(None, false).0, all);
}

/// llvm-bolt's own help, if it is installed.
#[test]
fn llvm_bolt_22_knows_all_of_it() {
    let asked = std::process::Command::new("/usr/lib/llvm-22/bin/llvm-bolt").arg("--help-hidden").output();
    let Ok(help) = asked else { return };
    let (options, notes) = defaults(Some(&String::from_utf8_lossy(&help.stdout)), false);
    assert_eq!((options.len(), notes), (9, vec![]));
}

#[test]
fn older_ones_get_what_they_know() {
    let (options, notes) = defaults(Some(&llvm_16()), false);
    assert!(options.contains(&"-reorder-functions=hfsort+".to_string()), "{options:?}");
    assert!(options.contains(&"-split-strategy=profile2".to_string()), "{options:?}");
    assert!(options.contains(&"-icf=1".to_string()), "{options:?}");
    assert_eq!((options.len(), notes.len()), (9, 3), "{notes:?}");
}

#[test]
fn aarch64_does_not_split_in_three() {
    let (options, notes) = defaults(Some(LLVM_22), true);
    assert!(options.contains(&"-split-strategy=profile2".to_string()));
    assert_eq!(notes, ["`-split-strategy=cdsplit` is broken on aarch64: `-split-strategy=profile2` stands in"]);
}

#[test]
fn what_is_not_there_is_left_out() {
    let help = LLVM_22.replace("--dyno-stats ", "--other ");
    let (options, notes) = defaults(Some(&help), false);
    assert!(!options.iter().any(|option| option == "-dyno-stats"));
    assert_eq!(notes, ["`-dyno-stats` is not known to this llvm-bolt: left out"]);
}

fn said(options: &[&str], llvm: Option<u64>, target: &str) -> Vec<String> {
    let words = words(&options.iter().map(|option| Arg::from(*option)).collect::<Vec<_>>());
    notes(&words, &words, llvm, target)
}

const X86: &str = "x86_64-unknown-linux-gnu";
const ARM: &str = "aarch64-unknown-linux-gnu";

#[test]
fn options_that_break_something_are_noted_however_they_are_written() {
    for option in [&["-frame-opt=hot"][..], &["--frame-opt=hot"], &["-frame-opt", "hot"]] {
        let notes = said(option, Some(22), X86);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("`-frame-opt=hot` of llvm-bolt 22 can take its stack away"), "{notes:?}");
        assert!(notes[0].ends_with("(llvm-project 211356)"), "{notes:?}");
    }
    assert_eq!(said(&["-frame-opt=none", "-data", "hot"], Some(22), X86), [""; 0]);
    assert!(said(&["--use-gnu-stack"], None, X86)[0].starts_with("`-use-gnu-stack` takes the GNU_STACK header away"));
    let both = said(&["-split-strategy=cdsplit", "-frame-opt=all"], Some(22), X86);
    assert!(both.iter().any(|note| note.contains("unwinding")), "{both:?}");
}

#[test]
fn options_are_noted_for_the_versions_and_processors_that_they_break() {
    let count = |option: &str, llvm, target| said(&[option], llvm, target).len();
    assert_eq!((count("-frame-opt=hot", Some(21), ARM), count("-frame-opt=hot", Some(22), ARM)), (1, 0));
    assert_eq!((count("-use-old-text", Some(18), X86), count("-use-old-text", Some(19), X86)), (1, 0));
    assert_eq!((count("-three-way-branch", Some(22), ARM), count("-three-way-branch", Some(22), X86)), (1, 0));
    // One that does not say its version may be any.
    assert_eq!(count("-use-old-text", None, X86), 1);
    // Nothing of the default set, which is not pasted, is held against anybody.
    let defaults: Vec<Arg> = OPTIMIZE.iter().map(|(option, _)| Arg::from(*option)).collect();
    assert_eq!(notes(&[], &words(&defaults), Some(22), X86), [""; 0]);
}

/// LLVM's own example, with llvm-bolt 22: 152 bytes of stack become none, below which nothing is safe but 128 bytes.
#[test]
fn what_the_table_says_of_frame_opt_is_so() {
    let dir = Dir::new();
    dir.write(
        "stack.c",
        "#include <stdint.h>\n\
         __attribute__((noinline)) uint64_t example(const uint64_t input[20]) {\n\
           volatile uint64_t values[20]; uint64_t result = 0;\n\
           for (unsigned i = 0; i < 20; i++) { values[i] = input[i] + i; result += values[i]; }\n\
           return result;\n}\n\
         int main(void) { uint64_t input[20] = {0}; return (int)example(input); }\n",
    );
    dir.sh("clang -O3 -fno-omit-frame-pointer stack.c -o stack -fuse-ld=lld -Wl,--emit-relocs
         llvm-bolt stack -o hot -frame-opt=hot 2> bolt.log; llvm-bolt stack -o none 2> bolt.log");
    let stack = |file: &str| {
        let script = format!("llvm-objdump -d --disassemble-symbols=example {file} | grep -oE 'subq.*%rsp' || true");
        String::from_utf8_lossy(&dir.sh(&script).stdout).into_owned()
    };
    assert!(!stack("none").contains("$0x0,"), "{}", stack("none"));
    assert_ne!(stack("hot"), stack("none"));
}
