//! The default options of llvm-bolt, for an llvm-bolt that knows all of them, and for others.

use optbuild::stage::bolt::options::{OPTIMIZE, defaults};

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
