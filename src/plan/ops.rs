//! A constructor for each of optbuild's operations: its command line, and its lines of bash where plain tools do the same.
//!
//! The lines may use the functions that `shell.rs` begins every script with: `fail`, `has_section`.

use super::op::{Op, ShellLine, ShellWord};
use super::{Arg, Part, Symbol};
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
    /// The share of damaged profiles above which it fails, as `1%`.
    pub max_damaged: String,
}

/// What [`Op::stream_merge`] is told.
#[derive(Debug, Clone)]
pub struct StreamMerge {
    pub format: Format,
    /// llvm-profdata or merge-fdata.
    pub tool: Arg,
    /// For BOLT: the directory with the instrumented copies of all slots.
    pub slots: Option<Arg>,
    /// How much profiles may take that are not merged yet, in bytes.
    pub budget: u64,
}

/// What [`Op::check_profile_use`] is told.
#[derive(Debug, Clone)]
pub struct ProfileUse {
    pub profile: Arg,
    /// An llvm-profdata that can read it.
    pub tool: Arg,
    /// The step that compiled.
    pub step: &'static str,
    /// What was built: a linked file, or a directory. Its name may be a pattern (see [`super::pattern`]).
    pub built: Arg,
    /// Which part of the build has this profile, where others have profiles of their own.
    pub component: Option<&'static str>,
}

impl ProfileUse {
    /// All of what the step `build` made.
    pub fn of_all(profile: &Arg, tool: &Arg) -> ProfileUse {
        let built = Symbol::Out.into();
        ProfileUse { profile: profile.clone(), tool: tool.clone(), step: "build", built, component: None }
    }
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

/// How [`Op::capture_as`] copies a directory: what the options of `optbuild op capture` say.
#[derive(Debug, Clone, Default)]
pub struct CaptureHow {
    pub link: Vec<String>,
    pub without: Vec<String>,
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
        args.extend(["--max-damaged".into(), Arg::limit("max-damaged", &merge.max_damaged)]);
        Op::new("merge", args).in_shell(merge_in_shell(merge))
    }

    /// Merges what workloads write while they run: a pool's companion.
    pub fn stream_merge(merge: &StreamMerge) -> Op {
        let mut args: Vec<Arg> = vec!["--format".into(), merge.format.name().into()];
        args.extend(["--tool".into(), merge.tool.clone(), "--committed".into(), Symbol::Committed.into()]);
        if let Some(slots) = &merge.slots {
            args.extend(["--slots".into(), slots.clone()]);
        }
        args.extend(["--disk-budget".into(), Arg::limit("disk-budget", merge.budget)]);
        args.extend(["--threads".into(), Symbol::Jobs.into()]);
        Op::new("stream-merge", args)
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

    /// Counts the functions of a build that have no profile, out of the log of the step that compiled it. Of one that was gathered
    /// elsewhere, `max_mismatched` asks instead whether it is of these sources.
    pub fn check_profile_use(check: &ProfileUse, max_unprofiled: Option<&str>, max_mismatched: Option<&str>) -> Op {
        let mut args: Vec<Arg> = vec!["--profile".into(), check.profile.clone(), "--tool".into(), check.tool.clone()];
        args.extend(["--logs".into(), Symbol::Logs.into(), "--step".into(), check.step.into()]);
        args.extend(["--keep".into(), Symbol::Build.into(), "--built".into(), check.built.clone()]);
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

    /// Reads what llvm-bolt said of its work, for reports. A script has no use for it.
    pub fn bolt_statistics(step: &str) -> Op {
        let args = ["--logs".into(), Symbol::Logs.into(), "--step".into(), step.into()];
        Op::new("bolt-statistics", args).in_shell(Vec::new())
    }

    /// Takes as many symbols out of a file, or of the programs below a directory, as another one has none of.
    pub fn strip_like(target: &Arg, like: &Arg, objcopy: &Arg) -> Op {
        let args = ["--like".into(), like.clone(), "--objcopy".into(), objcopy.clone(), target.clone()];
        Op::new("strip-like", args)
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

    /// Copies the first of several directories, or files, that is there, with what `how` says.
    pub fn capture_as(from: &[Arg], to: &Arg, how: &CaptureHow) -> Op {
        let mut args: Vec<Arg> = from.iter().flat_map(|from| ["--from".into(), from.clone()]).collect();
        args.extend(["--to".into(), to.clone()]);
        for (option, values) in [("--link", &how.link), ("--without", &how.without)] {
            args.extend(values.iter().flat_map(|value| [option.into(), value.as_str().into()]));
        }
        let mut lines = Vec::new();
        for (index, from) in from.iter().enumerate() {
            let test = if index == 0 { "if" } else { "elif" };
            lines.push(line([format!("{test} [ -e ").into(), from.into(), " ]; then".into()]));
            lines.push(line(["  capture ".into(), from.into(), " ".into(), to.into()]));
        }
        if let [only] = from {
            lines = vec![line(["capture ".into(), only.into(), " ".into(), to.into()])];
        } else if let Some(first) = from.first() {
            lines.push(line(["else fail 'there is no '".into(), first.into(), "; fi".into()]));
        }
        for path in &how.without {
            lines.push(line(["rm -rf ".into(), (&to.clone().join(path)).into()]));
        }
        Op::new("capture", args).in_shell(lines)
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

    /// Removes directories unless they were begun with the same options, which a file beside them says.
    pub fn clear_if_changed(stamp: &Arg, options: &[Arg], clear: &[Arg]) -> Op {
        let mut args: Vec<Arg> = vec!["--stamp".into(), stamp.clone()];
        args.extend(options.iter().flat_map(|option| ["--option".into(), option.clone()]));
        args.extend(clear.iter().flat_map(|dir| ["--clear".into(), dir.clone()]));
        // A script begins with nothing, but its stages follow each other.
        let fresh = Arg::from(Symbol::Scratch).join("options");
        let mut write: ShellLine = vec!["printf '%s\\n'".into()];
        for option in options {
            write.extend([" ".into(), option.into()]);
        }
        write.extend([" > ".into(), (&fresh).into()]);
        let mut remove: ShellLine =
            vec!["cmp -s ".into(), (&fresh).into(), " ".into(), stamp.into(), " || rm -rf".into()];
        for dir in clear {
            remove.extend([" ".into(), dir.into()]);
        }
        let keep: ShellLine = vec![
            "mkdir -p \"$(dirname ".into(),
            stamp.into(),
            ")\"; cp ".into(),
            (&fresh).into(),
            " ".into(),
            stamp.into(),
        ];
        Op::new("clear-if-changed", args).in_shell(vec![write, remove, keep])
    }

    /// Reports where the time of an x.py call went.
    pub fn metrics(file: &Arg) -> Op {
        Op::new("metrics", ["--file".into(), file.clone()]).in_shell(Vec::new())
    }

    /// Puts back what was replaced below a directory. A script begins with nothing, and so with nothing replaced.
    pub fn restore(below: &Arg) -> Op {
        Op::new("restore", ["--below".into(), below.clone()]).in_shell(Vec::new())
    }

    /// Copies a cargo workspace without some members and directories.
    pub fn copy_workspace(from: &Arg, to: &Arg, without: &[&str], skip: &[&str]) -> Op {
        let mut args: Vec<Arg> = vec!["--from".into(), from.clone(), "--to".into(), to.clone()];
        args.extend(without.iter().flat_map(|member| ["--without".into(), (*member).into()]));
        args.extend(skip.iter().flat_map(|dir| ["--skip".into(), (*dir).into()]));
        let mut lines = vec![
            line(["rm -rf ".into(), to.into(), "; mkdir -p ".into(), to.into()]),
            line(["cp -a ".into(), from.into(), "/. ".into(), to.into(), "/".into()]),
        ];
        for member in without {
            let section = format!("-e '/^\\[profile\\..*\\.package\\.{member}\\]/,/^$/d' ");
            let words =
                [format!("sed -i -e 's/\"{member}\",\\{{0,1\\}}//' {section}").into(), to.into(), "/Cargo.toml".into()];
            lines.push(line(words));
        }
        for dir in without.iter().chain(skip).chain(&["target", ".git"]) {
            lines.push(line(["rm -rf ".into(), to.into(), format!("/{dir}").into()]));
        }
        Op::new("copy-workspace", args).in_shell(lines)
    }

    /// Puts a file in the place of another one, under all names that it has in a directory. The original is kept beside the name that
    /// lies outside of a directory which is made anew.
    pub fn put_in_place(file: &Arg, target: &Arg, links_below: &Arg, outside: &Arg) -> Op {
        let args = ["--file".into(), file.clone(), "--target".into(), target.clone()];
        let more = ["--links-below".into(), links_below.clone(), "--keep-original".into()];
        let outside = ["--origin-outside".into(), outside.clone()];
        Op::new("put-in-place", args.into_iter().chain(more).chain(outside))
    }

    /// Checks that two outputs are equal.
    pub fn same(left: &Arg, right: &Arg, label: &str) -> Op {
        let args = ["--left".into(), left.clone(), "--right".into(), right.clone(), "--label".into(), label.into()];
        Op::new("same", args).in_shell(vec![line(["diff ".into(), left.into(), " ".into(), right.into()])])
    }

    /// Measures two builds; `files` are what it writes. No plain tool does that: a script without optbuild says so in their place.
    pub fn compare(args: Vec<Arg>, files: &[Arg]) -> Op {
        let mut call = vec!["  run \"${OPTBUILD:-optbuild}\" op compare".into()];
        call.extend(args.iter().flat_map(|arg| [" ".into(), ShellWord::from(arg)]));
        let mut instead: ShellLine = vec!["  echo 'not measured: optbuild is not there' | tee".into()];
        instead.extend(files.iter().flat_map(|file| [" ".into(), file.into()]));
        instead.push(" > /dev/null".into());
        let begin = line(["if command -v \"${OPTBUILD:-optbuild}\" > /dev/null; then".into()]);
        let lines = vec![begin, call, line(["else".into()]), instead, line(["fi".into()])];
        Op::new("compare", args).in_shell(lines)
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
