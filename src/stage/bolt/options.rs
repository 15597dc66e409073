//! llvm-bolt's options: the default set, as far as an llvm-bolt knows it, and what the declaration says instead or besides.

use super::words::words;
use super::{Options, broken};
use crate::pipeline::Text;
use crate::plan::{Arg, Part};
use crate::stage::{Context, PlanError};
use crate::toolchain::version;

/// What rustc's own builds use, each with what stands in where the option or its value is not known. An empty replacement
/// leaves it out.
pub const OPTIMIZE: [(&str, &str); 9] = [
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
pub(super) fn instrument(declared: &Options, cx: &mut Context, bolt: &Arg) -> Result<Vec<Arg>, PlanError> {
    let (Options::Own(options) | Options::More(options)) = declared;
    let options = texts(options, cx)?;
    note_broken(&options, &options, cx, bolt);
    Ok(options)
}

pub(super) fn optimize(declared: &Options, cx: &mut Context, bolt: &Arg) -> Result<Vec<Arg>, PlanError> {
    let more = match declared {
        Options::Own(options) => {
            let options = texts(options, cx)?;
            note_broken(&options, &options, cx, bolt);
            return Ok(options);
        }
        Options::More(options) => options,
    };
    let (options, notes) = defaults(help(cx, bolt).as_deref(), cx.facts.host().starts_with("aarch64"));
    notes.into_iter().for_each(|note| cx.note(note));
    let mut options: Vec<Arg> = options.into_iter().map(Arg::from).collect();
    let more = texts(more, cx)?;
    options.extend(more.iter().cloned());
    note_broken(&more, &options, cx, bolt);
    Ok(options)
}

fn note_broken(declared: &[Arg], all: &[Arg], cx: &mut Context, bolt: &Arg) {
    let (llvm, target) = (llvm(cx, bolt), cx.facts.host());
    broken::notes(&words(declared), &words(all), llvm, &target).into_iter().for_each(|note| cx.note(note));
}

/// The LLVM that an llvm-bolt is of, as far as it says.
pub(super) fn llvm(cx: &Context, bolt: &Arg) -> Option<u64> {
    let path = cx.known_path(bolt)?;
    version::of(cx.facts, "llvm-bolt", &path).map(|version| version.major)
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
pub fn defaults(help: Option<&str>, aarch64: bool) -> (Vec<String>, Vec<String>) {
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
