//! The operations that merge profiles and take them out of bundles.

use super::line;
use crate::plan::op::{Op, ShellLine};
use crate::plan::{Arg, Symbol};
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
