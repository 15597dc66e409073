//! What llvm-bolt wrote, held against what it read: whatever made the file safe and usable has to be in the result as well.
//!
//! | difference | |
//! |---|---|
//! | hardening, kind of file, library and version names are lost; a segment that can be written and executed is new | an error |
//! | debug information is damaged | an error |
//! | debug information is lost | a warning, unless it is an instrumented file |
//! | `BIND_NOW` is new; the file has several times its size | a note |
//!
//! llvm-bolt leaves its command line in what it writes, so an option that is known to make a difference is named. Unaware of what the code
//! does.

use anyhow::{Result, bail};
use camino::Utf8Path;

use crate::event::Fact;
use crate::profile::elf::Ballast;
use crate::profile::linked::{Hardening, Linked};
use crate::text;

/// From so many times its size on, a file is worth a note.
const SEVERAL: u64 = 3;

/// Holds the file that llvm-bolt wrote against the one that it read.
///
/// # Errors
/// Something is lost or damaged; the message names it, and the option that is known for it.
pub(super) fn differences(input: &Utf8Path, file: &Utf8Path, instrumented: bool) -> Result<Vec<Fact>> {
    let (Some(before), Some(after)) = (Linked::read(input)?, Linked::read(file)?) else { return Ok(Vec::new()) };
    let options = Options(after.bolt_command.clone().unwrap_or_default());
    if let Some(lost) = before.hardening.difference(&after.hardening).next() {
        bail!(
            "{file} has lost {}, which {input} has{}: {}. {}",
            lost.words(),
            consequence(*lost),
            options.blame(cause(*lost)),
            options.remedy(cause(*lost))
        );
    }
    if before.start != after.start {
        let (was, is) = (before.start.words(), after.start.words());
        bail!("{file} is {is}, and {input} is {was}. {}", options.remedy(&[]));
    }
    let names: Vec<&str> = before.names.difference(&after.names).map(String::as_str).collect();
    if !names.is_empty() {
        bail!("{file} has lost what {input} has: {}. {}", names.join(", "), options.remedy(&[]));
    }
    if after.writable_code && !before.writable_code && !instrumented {
        bail!("{file} has code that can be written to, and {input} has none. {}", options.remedy(&[]));
    }
    if let (None, Some(damage)) = (&before.debug.damage, &after.debug.damage) {
        bail!(
            "the debug information of {file} cannot be read: {damage}. In {input} it can. Take `-update-debug-sections` out of \
             llvm-bolt's options, and the result has none; or build without debug information"
        );
    }
    let mut facts = Vec::new();
    if before.debug.exists && !after.debug.exists && !instrumented {
        facts.push(Fact::warning(format!(
            "{file} has no debug information, and {input} has: {}",
            if options.has(&["update-debug-sections"]) {
                "llvm-bolt took it out although it was told to update it; its output says why"
            } else {
                "llvm-bolt takes it out unless `-update-debug-sections` is among its options"
            }
        )));
    }
    if after.hardening.contains(&Hardening::BindNow) && !before.hardening.contains(&Hardening::BindNow) {
        let option = options.blame(&["plt"]);
        facts.push(Fact::note(format!(
            "{file} binds all functions when it starts (BIND_NOW), and {input} does not: {option}"
        )));
    }
    if after.size >= SEVERAL * before.size && !instrumented {
        let ballast = Ballast::read(file)?.unwrap_or_default();
        let why = reasons(ballast, after.size, &options);
        // These stand beside the size.
        let parts = [("gaps", ballast.gaps), ("old-code", ballast.old_code), ("kept-relocations", ballast.relocations)];
        let parts = parts.into_iter().filter(|(_, bytes)| *bytes as f64 > after.size as f64 * WORTH_NAMING);
        facts.extend(parts.map(|(name, bytes)| Fact::bytes(name, bytes)));
        let (was, is) = (text::size(before.size), text::size(after.size));
        facts.push(Fact::note(format!(
            "{file} has {is}, {} times the size of {input} ({was}){why}",
            after.size / before.size.max(1)
        )));
    }
    Ok(facts)
}

/// Less than this share of a file is no reason for its size.
const WORTH_NAMING: f64 = 0.05;

/// What makes a file large, the largest part first, and what to do about it.
fn reasons(ballast: Ballast, size: u64, options: &Options) -> String {
    let pages = if options.has(&["no-huge-pages"]) {
        "gaps between sections"
    } else {
        "gaps, as llvm-bolt aligns code to huge pages of 2 MiB (`-no-huge-pages` among its options keeps a small file small)"
    };
    let mut parts = [
        (ballast.gaps, pages),
        (
            ballast.old_code,
            "the old code, which stays (`-use-old-text` puts the new code in its place, where that fits)",
        ),
        (ballast.relocations, "relocations that the linker kept"),
        (ballast.debug, "debug information (`strip-like`)"),
        (ballast.symbols, "symbols (`strip-like`)"),
    ];
    parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let large = parts.iter().filter(|(bytes, _)| *bytes as f64 > size as f64 * WORTH_NAMING);
    let large: Vec<String> = large.map(|(bytes, what)| format!("{} are {what}", text::size(*bytes))).collect();
    if large.is_empty() { String::new() } else { format!(": {}", large.join(", ")) }
}

/// What the loss of it means.
fn consequence(lost: Hardening) -> &'static str {
    match lost {
        Hardening::Stack => ": stacks become executable, and glibc 2.41 and newer does not load such a library",
        Hardening::Relro => ": tables of addresses stay writable",
        Hardening::BindNow => ": addresses of functions stay writable",
        Hardening::Ibt | Hardening::ShadowStack | Hardening::Bti | Hardening::Pac => {
            ": the processor does not check jumps any more"
        }
    }
}

/// Options that are known to take it away.
fn cause(lost: Hardening) -> &'static [&'static str] {
    match lost {
        Hardening::Stack => &["use-gnu-stack"],
        _ => &[],
    }
}

/// The command line of llvm-bolt.
struct Options(String);

impl Options {
    /// Those that begin with a dash, as they are written.
    fn all(&self) -> impl Iterator<Item = &str> {
        self.0.split_whitespace().filter(|word| word.starts_with('-'))
    }

    fn find(&self, names: &[&str]) -> Option<&str> {
        self.all().find(|word| {
            let name = word.trim_start_matches('-');
            names.contains(&name.split_once('=').map_or(name, |(name, _)| name))
        })
    }

    fn has(&self, names: &[&str]) -> bool {
        self.find(names).is_some()
    }

    fn blame(&self, names: &[&str]) -> String {
        match self.find(names) {
            Some(option) => format!("`{option}` does that"),
            None => "none of llvm-bolt's options is known to do that".into(),
        }
    }

    fn remedy(&self, names: &[&str]) -> String {
        match self.find(names) {
            Some(option) => format!("Take `{option}` out of llvm-bolt's options"),
            None => {
                let all: Vec<&str> = self.all().collect();
                let all = if all.is_empty() { "it does not say which it got".into() } else { all.join(" ") };
                format!("Find the option of llvm-bolt that does it, and take it out: {all}")
            }
        }
    }
}
