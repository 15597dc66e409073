//! llvm-bolt's options: the default set, as far as an llvm-bolt knows it, and what the declaration says instead or besides.

use super::Options;
use crate::pipeline::Text;
use crate::plan::{Arg, Part};
use crate::stage::{Context, PlanError};

/// What rustc's own builds use, each with what stands in where the option or its value is not known. An empty replacement
/// leaves it out.
const OPTIMIZE: [(&str, &str); 9] = [
    ("-reorder-blocks=ext-tsp", ""),
    ("-reorder-functions=cdsort", "-reorder-functions=hfsort+"),
    ("-split-functions", ""),
    ("-split-strategy=cdsplit", "-split-strategy=profile2"),
    ("-split-all-cold", ""),
    ("-jump-tables=move", ""),
    ("-icf=all", "-icf=1"),
    ("-update-debug-sections", ""),
    ("-dyno-stats", ""),
];

/// For instrumenting there is no default set: what is needed is not an option.
pub(super) fn instrument(declared: &Options, cx: &mut Context) -> Result<Vec<Arg>, PlanError> {
    let (Options::Own(options) | Options::More(options)) = declared;
    texts(options, cx)
}

pub(super) fn optimize(declared: &Options, cx: &mut Context, bolt: &Arg) -> Result<Vec<Arg>, PlanError> {
    let more = match declared {
        Options::Own(options) => return texts(options, cx),
        Options::More(options) => options,
    };
    let (options, notes) = defaults(help(cx, bolt).as_deref(), cx.facts.host().starts_with("aarch64"));
    notes.into_iter().for_each(|note| cx.note(note));
    let mut options: Vec<Arg> = options.into_iter().map(Arg::from).collect();
    options.extend(texts(more, cx)?);
    Ok(options)
}

/// What lets llvm-bolt match a profile with code that is not quite that of the profile, if it knows how.
pub(super) fn infer_stale_profile(cx: &mut Context, bolt: &Arg) -> Option<Arg> {
    const OPTION: &str = "-infer-stale-profile";
    if help(cx, bolt).is_some_and(|help| !knows(&help, OPTION)) {
        cx.note(format!("`{OPTION}` is not known to this llvm-bolt: left out"));
        return None;
    }
    Some(OPTION.into())
}

fn texts(texts: &[Text], cx: &mut Context) -> Result<Vec<Arg>, PlanError> {
    texts.iter().map(|text| cx.arg(text)).collect()
}

/// What this llvm-bolt says of its options, the ones for developers as well.
fn help(cx: &Context, bolt: &Arg) -> Option<String> {
    let [Part::Tool { path, .. }] = bolt.parts.as_slice() else { return None };
    let ask = |option| cx.facts.output(&[path.as_str(), option]);
    ask("--help-hidden").or_else(|| ask("--help"))
}

/// The default set as this llvm-bolt can take it, and a sentence for each replacement. Without a help text: all of it.
fn defaults(help: Option<&str>, aarch64: bool) -> (Vec<String>, Vec<String>) {
    let (mut options, mut notes) = (Vec::new(), Vec::new());
    for (option, fallback) in OPTIMIZE {
        let broken = aarch64 && option == "-split-strategy=cdsplit";
        let known = help.is_none_or(|help| knows(help, option));
        if known && !broken {
            options.push(option.to_string());
            continue;
        }
        let reason = if broken { "is broken on aarch64" } else { "is not known to this llvm-bolt" };
        let usable = !fallback.is_empty() && help.is_none_or(|help| knows(help, fallback));
        if usable {
            options.push(fallback.to_string());
            notes.push(format!("`{option}` {reason}: `{fallback}` stands in"));
        } else {
            notes.push(format!("`{option}` {reason}: left out"));
        }
    }
    (options, notes)
}

/// Whether a help text lists an option, and its value where the option takes named ones: below a line
/// `--icf=<value> - …` they follow as `=all - …`.
fn knows(help: &str, option: &str) -> bool {
    let option = option.trim_start_matches('-');
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    let (mut listed, mut inside, mut values) = (false, false, Vec::new());
    for line in help.lines().map(str::trim_start) {
        if let Some(rest) = line.strip_prefix('-').map(|rest| rest.trim_start_matches('-')) {
            let end = rest.find(['=', ' ']).unwrap_or(rest.len());
            inside = &rest[..end] == name;
            listed |= inside;
        } else if let Some(rest) = line.strip_prefix('=').filter(|_| inside) {
            values.extend(rest.split_whitespace().next());
        }
    }
    match value {
        // A switch takes `1`.
        Some(value) => listed && (values.contains(&value) || value == "1"),
        None => listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
