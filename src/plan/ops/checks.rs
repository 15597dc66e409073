//! The operations that check what a stage is made from, and what it has made.

use super::line;
use crate::plan::op::Op;
use crate::plan::{Arg, Part, Symbol};
use crate::profile::Format;

/// What [`Op::check_profile_use`] is told.
#[derive(Debug, Clone)]
pub struct ProfileUse {
    pub profile: Arg,
    /// An llvm-profdata that can read it.
    pub tool: Arg,
    /// The step that compiled.
    pub step: &'static str,
    /// Where warnings are kept: a directory that is emptied when all has to be compiled again.
    pub keep: Arg,
    /// What was built: a linked file, or a directory. Its name may be a pattern (see [`crate::fs::pattern`]).
    pub built: Arg,
    /// Which part of the build has this profile, where others have profiles of their own.
    pub component: Option<&'static str>,
}

impl ProfileUse {
    /// All of what the step `build` made.
    pub fn of_all(profile: &Arg, tool: &Arg) -> ProfileUse {
        let (keep, built) = (Symbol::Build.into(), Symbol::Out.into());
        ProfileUse { profile: profile.clone(), tool: tool.clone(), step: "build", keep, built, component: None }
    }
}

impl Op {
    /// Checks that a merged profile has counts, and a version that its reader reads.
    pub fn check_profile(profile: &Arg, compiler: &str, max_version: Option<u64>, tool: Option<&Arg>) -> Op {
        let mut args: Vec<Arg> = vec!["--profile".into(), profile.clone(), "--compiler".into(), compiler.into()];
        if let Some(max) = max_version {
            args.extend(["--max-version".into(), max.to_string().into()]);
        }
        let mut lines =
            vec![line(["test -s ".into(), profile.into(), " || fail 'the profile is empty: '".into(), profile.into()])];
        if let Some(tool) = tool {
            args.extend(["--tool".into(), tool.clone()]);
            // Without -q, so that the tool is not ended by a closed pipe.
            lines.push(line([
                tool.into(),
                " show ".into(),
                profile.into(),
                " | grep '^Total functions: [1-9]' > /dev/null || fail 'no functions in the profile '".into(),
                profile.into(),
            ]));
        }
        Op::new("check-profile", args).in_shell(lines)
    }

    /// Checks that a BOLT profile is of the file that is going to be rewritten with it: of the build id, or of the same code.
    pub fn check_bolt_profile(file: &Arg, role: &str, build_id: Option<&str>, code: Option<&str>) -> Op {
        let mut args: Vec<Arg> = vec!["--role".into(), role.into()];
        for (name, value) in [("--build-id", build_id), ("--code", code)] {
            args.extend(value.into_iter().flat_map(|value| [Arg::from(name), value.into()]));
        }
        args.push(file.clone());
        Op::new("check-bolt-profile", args)
    }

    /// Checks after llvm-bolt that a BOLT profile of nobody knows which file fits.
    pub fn check_bolt_use(step: &str, max_stale: &str) -> Op {
        let args = ["--logs".into(), Symbol::Logs.into(), "--step".into(), step.into()];
        Op::new("check-bolt-use", args.into_iter().chain(["--max-stale".into(), max_stale.into()]))
    }

    /// Counts what is in the profile of a gather stage, and checks that it is of the instrumented build.
    pub fn check_gathered(format: Format, profile: &Arg, tool: &Arg, instrumented: &Arg) -> Op {
        let mut args = vec!["--format".into(), format.name().into(), "--profile".into(), profile.clone()];
        // BOLT's profiles are text.
        if format == Format::Profdata {
            args.extend(["--tool".into(), tool.clone()]);
        }
        args.extend(["--instrumented".into(), instrumented.clone()]);
        // Where there is no profile, the merge has said so.
        Op::new("check-gathered", args).in_shell(Vec::new())
    }

    /// Counts what is in a profile that was gathered elsewhere. With an instrumented build and a share: checks that so much of it
    /// is of that build.
    pub fn check_supplied(format: Format, profile: &Arg, tool: Option<&Arg>, build: Option<(&Arg, &str)>) -> Op {
        let mut args: Vec<Arg> = vec!["--format".into(), format.name().into(), "--profile".into(), profile.clone()];
        args.extend(tool.into_iter().flat_map(|tool| [Arg::from("--tool"), tool.clone()]));
        if let Some((build, least)) = build {
            args.extend(["--instrumented".into(), build.clone(), "--min-of-the-build".into(), least.into()]);
        }
        Op::new("check-gathered", args)
    }

    /// Counts the functions of a build that have no profile, out of the log of the step that compiled it. Of one that was gathered
    /// elsewhere, `max_mismatched` asks instead whether it is of these sources.
    pub fn check_profile_use(check: &ProfileUse, max_unprofiled: Option<&str>, max_mismatched: Option<&str>) -> Op {
        let mut args: Vec<Arg> = vec!["--profile".into(), check.profile.clone(), "--tool".into(), check.tool.clone()];
        args.extend(["--logs".into(), Symbol::Logs.into(), "--step".into(), check.step.into()]);
        args.extend(["--keep".into(), check.keep.clone(), "--built".into(), check.built.clone()]);
        let component = check.component.map(|component| ("--component", component));
        let limits = [("--max-unprofiled", max_unprofiled), ("--max-mismatched", max_mismatched)];
        let limits = limits.into_iter().filter_map(|(option, value)| Some((option, value?)));
        args.extend(component.into_iter().chain(limits).flat_map(|(option, value)| [option.into(), value.into()]));
        // Who runs a script sees the compiler's warnings.
        Op::new("check-profile-use", args).in_shell(Vec::new())
    }

    /// Checks that a build is going to write profiles.
    pub fn check_instrumented(format: Format, path: &Arg) -> Op {
        let section = match format {
            Format::Profdata => "__llvm_prf_cnts",
            Format::Fdata => ".bolt.instr.tables",
        };
        let args = ["--format".into(), format.name().into(), path.clone()];
        Op::new("check-instrumented", args).in_shell(vec![line([
            format!("has_section {section} ").into(),
            path.into(),
            " || fail 'not instrumented: '".into(),
            path.into(),
        ])])
    }

    /// Checks that a static library was compiled for link-time optimisation.
    pub fn check_lto(archive: &Arg) -> Op {
        // A script shows the compilers' flags.
        Op::new("check-lto", [archive.clone()]).in_shell(Vec::new())
    }

    /// Checks that llvm-bolt can work on a file, and is not told to write to it.
    pub fn check_bolt_input(file: &Arg, output: &Arg) -> Op {
        let args = ["--output".into(), output.clone(), file.clone()];
        let needs = |section: &str, message: &str| {
            let words = [
                format!("has_section {section} ").into(),
                file.into(),
                format!(" || fail '{message}: '").into(),
                file.into(),
            ];
            line(words)
        };
        Op::new("check-bolt-input", args)
            .in_shell(vec![needs(".symtab", "stripped"), needs(".rela.text", "linked without --emit-relocs")])
    }

    /// Checks that llvm-bolt wrote a file.
    pub fn check_bolted(file: &Arg) -> Op {
        let words = [
            "has_section .note.bolt_info ".into(),
            file.into(),
            " || fail 'not written by llvm-bolt: '".into(),
            file.into(),
        ];
        Op::new("check-bolted", [file.clone()]).in_shell(vec![line(words)])
    }

    /// Checks that the file system of a directory has room for it to grow to so many bytes.
    pub fn check_space(dir: &Arg, bytes: u64) -> Op {
        // A place: how much there must be is no part of what is made.
        let bytes = Arg::part(Part::Place { name: "needed space".into(), path: bytes.to_string().into() });
        Op::new("check-space", ["--dir".into(), dir.clone(), "--bytes".into(), bytes]).in_shell(Vec::new())
    }

    /// The same for as many as a key of the stage says.
    pub fn check_budget(dir: &Arg, key: &'static str, bytes: u64) -> Op {
        let args = ["--dir".into(), dir.clone(), "--bytes".into(), Arg::limit(key, bytes), "--key".into(), key.into()];
        Op::new("check-space", args).in_shell(Vec::new())
    }

    /// Checks that two outputs are equal.
    pub fn same(left: &Arg, right: &Arg, label: &str) -> Op {
        let args = ["--left".into(), left.clone(), "--right".into(), right.clone(), "--label".into(), label.into()];
        Op::new("same", args).in_shell(vec![line(["diff ".into(), left.into(), " ".into(), right.into()])])
    }
}
