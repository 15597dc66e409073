//! A constructor for each of optbuild's operations: its command line, and its lines of bash where plain tools do the same.
//!
//! The lines may use the functions that `shell.rs` begins every script with: `fail`, `has_section`.

use super::op::{Op, ShellLine, ShellWord};
use super::{Arg, Symbol};
use crate::profile::Format;

/// What [`Op::merge`] is told.
#[derive(Debug, Clone)]
pub struct Merge {
    pub format: Format,
    /// llvm-profdata or merge-fdata.
    pub tool: Arg,
    /// Directory to look in.
    pub input: Arg,
    /// Looks for merged profiles of workloads instead of raw ones.
    pub merged: bool,
    /// Merged profiles to add.
    pub with: Vec<Arg>,
    pub output: MergeOutput,
    pub threads: Arg,
    /// Deletes what was merged.
    pub consume: bool,
}

/// What [`Op::take_profile`] is told.
#[derive(Debug, Clone)]
pub struct TakeProfile {
    pub bundle: Arg,
    pub role: String,
    /// The profile's name in the bundle.
    pub member: String,
    /// BLAKE3 of its content.
    pub hash: String,
    /// Where it goes; named as [`MergeOutput::Named`] are.
    pub dir: Arg,
    pub name: String,
    pub extension: String,
}

/// Where a merged profile goes.
#[derive(Debug, Clone)]
pub enum MergeOutput {
    File(Arg),
    /// A file in `dir` whose name is `name`, a dash, the hash of its content, and the extension of the format.
    Named {
        dir: Arg,
        name: String,
    },
}

impl MergeOutput {
    /// The file; where its name holds a hash, a pattern that matches it alone.
    pub fn path(&self, format: Format) -> Arg {
        match self {
            MergeOutput::File(path) => path.clone(),
            MergeOutput::Named { dir, name } => dir.clone().join(&format!("{name}-*.{}", format.merged_extension())),
        }
    }
}

impl Op {
    /// Merges profiles; refuses when there are none, or when their version is not the tool's.
    pub fn merge(merge: &Merge) -> Op {
        let mut args: Vec<Arg> = vec!["--format".into(), merge.format.name().into()];
        args.extend(["--tool".into(), merge.tool.clone(), "--input".into(), merge.input.clone()]);
        args.extend(merge.merged.then(|| "--merged".into()));
        for with in &merge.with {
            args.extend(["--with".into(), with.clone()]);
        }
        match &merge.output {
            MergeOutput::File(path) => args.extend(["--output".into(), path.clone()]),
            MergeOutput::Named { dir, name } => {
                args.extend(["--output-dir".into(), dir.clone(), "--name".into(), name.as_str().into()]);
            }
        }
        args.extend(["--threads".into(), merge.threads.clone()]);
        args.extend(merge.consume.then(|| "--consume".into()));
        Op::new("merge", args).in_shell(merge_in_shell(merge))
    }

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

    /// Takes a merged profile out of a bundle. Refuses when it is another one than was planned with.
    pub fn take_profile(take: &TakeProfile) -> Op {
        let TakeProfile { bundle, role, member, hash, dir, name, extension } = take;
        let mut args: Vec<Arg> = vec!["--bundle".into(), bundle.clone(), "--role".into(), role.as_str().into()];
        args.extend(["--member".into(), member.as_str().into(), "--blake3".into(), hash.as_str().into()]);
        args.extend(["--extension".into(), extension.as_str().into()]);
        args.extend(["--output-dir".into(), dir.clone(), "--name".into(), name.as_str().into()]);
        let path = dir.clone().join(&format!("{name}-0.{extension}"));
        let member = Arg::from(member.as_str());
        let line =
            line(["tar -xOf ".into(), bundle.into(), " ".into(), (&member).into(), " > ".into(), (&path).into()]);
        Op::new("take-profile", args).in_shell(vec![line])
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

    /// Checks after a build that its profile, which was gathered elsewhere, is of these sources.
    pub fn check_profile_sources(profile: &Arg, tool: &Arg, step: &str, max_mismatched: &str) -> Op {
        let mut op = Op::check_profile_use(profile, tool, step, None);
        op.argv.extend(["--max-mismatched".into(), max_mismatched.into()]);
        op
    }

    /// Counts the functions of a build that have no profile, out of the log of the step that compiled it.
    pub fn check_profile_use(profile: &Arg, tool: &Arg, step: &str, max_unprofiled: Option<&str>) -> Op {
        let mut args: Vec<Arg> = vec!["--profile".into(), profile.clone(), "--tool".into(), tool.clone()];
        args.extend(["--logs".into(), Symbol::Logs.into(), "--step".into(), step.into()]);
        args.extend(["--keep".into(), Symbol::Build.into(), "--built".into(), Symbol::Out.into()]);
        if let Some(limit) = max_unprofiled {
            args.extend(["--max-unprofiled".into(), limit.into()]);
        }
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

    /// Copies a directory and replaces one file in the copy.
    pub fn shadow(from: &Arg, to: &Arg, replace: &str, with: &Arg) -> Op {
        let args = ["--from", "--to", "--replace", "--with"].map(Arg::from);
        let values = [from.clone(), to.clone(), replace.into(), with.clone()];
        let args = args.into_iter().zip(values).flat_map(|(name, value)| [name, value]);
        let file = to.clone().join(replace);
        Op::new("shadow", args).in_shell(vec![
            line(["rm -rf ".into(), to.into(), "; mkdir -p ".into(), to.into()]),
            line(["cp -a ".into(), from.into(), "/. ".into(), to.into(), "/".into()]),
            // A link is followed to the file; a new file, so that other names of it keep their content.
            line(["replace=$(readlink -f ".into(), (&file).into(), ")".into()]),
            line(["cp --remove-destination ".into(), with.into(), " \"$replace\"".into()]),
        ])
    }

    /// Copies a file or tree out of a build directory.
    pub fn capture(from: &Arg, to: &Arg) -> Op {
        let args = ["--from".into(), from.clone(), "--to".into(), to.clone()];
        Op::new("capture", args).in_shell(vec![line(["capture ".into(), from.into(), " ".into(), to.into()])])
    }

    /// Puts a file in the place of another one, under all names that it has in a directory.
    pub fn put_in_place(file: &Arg, target: &Arg, links_below: &Arg) -> Op {
        let args = ["--file".into(), file.clone(), "--target".into(), target.clone()];
        let more = ["--links-below".into(), links_below.clone(), "--keep-original".into()];
        Op::new("put-in-place", args.into_iter().chain(more))
    }

    /// Checks that two outputs are equal.
    pub fn same(left: &Arg, right: &Arg, label: &str) -> Op {
        let args = ["--left".into(), left.clone(), "--right".into(), right.clone(), "--label".into(), label.into()];
        Op::new("same", args).in_shell(vec![line(["diff ".into(), left.into(), " ".into(), right.into()])])
    }

    /// Empties the directory that an instrumented copy writes to; its path is in a file beside the copy.
    pub fn clear_slot(path_file: &Arg) -> Op {
        Op::new("clear-slot", ["--path-file".into(), path_file.clone()]).in_shell(vec![
            line(["prof=$(cat ".into(), path_file.into(), ")".into()]),
            line(["mkdir -p \"$(dirname \"$prof\")\"; rm -f \"$prof\".*".into()]),
        ])
    }

    /// Moves the profiles of an attempt out of that directory.
    pub fn collect(path_file: &Arg, to: &Arg) -> Op {
        let args = ["--path-file".into(), path_file.clone(), "--to".into(), to.clone()];
        Op::new("collect", args).in_shell(vec![
            line(["prof=$(cat ".into(), path_file.into(), "); mkdir -p ".into(), to.into()]),
            line(["find \"$(dirname \"$prof\")\" -name '*.fdata' -exec mv {} ".into(), to.into(), "/ \\;".into()]),
        ])
    }
}

/// Looks for files, writes their list, merges. Empty files are left out, as the operation does.
fn merge_in_shell(merge: &Merge) -> Vec<ShellLine> {
    let pattern = match merge.merged {
        true => format!("profile.{}", merge.format.merged_extension()),
        false => format!("*.{}", merge.format.raw_extension()),
    };
    let scratch = Arg::from(Symbol::Scratch);
    let list = scratch.clone().join("profiles");
    let path = match &merge.output {
        MergeOutput::File(path) => path.clone(),
        // The hash is there so that a build tool sees another name for another content; a script builds once.
        MergeOutput::Named { dir, name } => dir.clone().join(&format!("{name}-0.{}", merge.format.merged_extension())),
    };
    let input = &merge.input;
    // As the tools read lists: llvm-profdata with a weight in front of a comma, merge-fdata as words in quotes.
    let entry = match merge.format {
        Format::Profdata => "s/^/1,/",
        Format::Fdata => "s/.*/\"&\"/",
    };
    let mut lines = vec![
        line([
            "find ".into(),
            input.into(),
            format!(" -type f -name '{pattern}' -size +0c | LC_ALL=C sort | sed '{entry}' > ").into(),
            (&list).into(),
        ]),
        line(["test -s ".into(), (&list).into(), " || fail 'no profiles were written below '".into(), input.into()]),
    ];
    match merge.format {
        Format::Profdata => {
            for with in &merge.with {
                lines.push(line(["printf '1,%s\\n' ".into(), with.into(), " >> ".into(), (&list).into()]));
            }
            // With several threads, which values of an expression add up depends on which thread gets which file.
            lines.push(line([
                (&merge.tool).into(),
                " merge --failure-mode=all --num-threads=1 --input-files=".into(),
                (&list).into(),
                " -o ".into(),
                (&path).into(),
            ]));
        }
        Format::Fdata => lines.extend([
            line([(&merge.tool).into(), " @".into(), (&list).into(), " -o ".into(), (&list).into(), ".fdata".into()]),
            // merge-fdata writes in the order of a hash table.
            line(["LC_ALL=C sort ".into(), (&list).into(), ".fdata > ".into(), (&path).into()]),
        ]),
    }
    if merge.consume {
        lines.push(line(["rm -rf ".into(), input.into()]));
    }
    lines
}

fn line<const N: usize>(words: [ShellWord; N]) -> ShellLine {
    words.into()
}
