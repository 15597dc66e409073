//! A constructor for each of optbuild's operations: its command line, and its lines of bash where plain tools do the same.
//!
//! The lines may use the functions that `shell.rs` begins every script with: `fail`, `has_section`.

mod checks;
mod profiles;

use super::op::{Op, ShellLine, ShellWord};
use super::{Arg, Symbol};

pub use checks::ProfileUse;
pub use profiles::{Merge, MergeOutput, StreamMerge, TakeProfile};

/// How [`Op::capture_as`] copies a directory: what the options of `optbuild op capture` say.
#[derive(Debug, Clone, Default)]
pub struct CaptureHow {
    pub link: Vec<String>,
    pub without: Vec<String>,
}

impl Op {
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

    /// Removes files unless those of a directory are the same as when they were made, by names, sizes and times.
    pub fn clear_if_touched(stamp: &Arg, tree: &Arg, clear: &[Arg]) -> Op {
        let mut args: Vec<Arg> = vec!["--stamp".into(), stamp.clone(), "--tree".into(), tree.clone()];
        args.extend(clear.iter().flat_map(|path| ["--clear".into(), path.clone()]));
        // A script begins with nothing, and nobody changes sources between its stages.
        Op::new("clear-if-changed", args).in_shell(Vec::new())
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

    /// Puts a file in the place of another one, under all names that it has in a directory. Its place is the name that
    /// lies outside of directories which are made anew. `built_by` is the stage that builds what is replaced, for messages.
    pub fn put_in_place(file: &Arg, target: &Arg, links_below: &Arg, outside: &[Arg], built_by: Option<&str>) -> Op {
        let args = ["--file".into(), file.clone(), "--target".into(), target.clone()];
        let more = ["--links-below".into(), links_below.clone(), "--keep-original".into()];
        let outside = outside.iter().flat_map(|dir| ["--origin-outside".into(), dir.clone()]);
        let built_by = built_by.map(|stage| ["--built-by".into(), stage.into()]);
        Op::new("put-in-place", args.into_iter().chain(more).chain(outside).chain(built_by.into_iter().flatten()))
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

fn line<const N: usize>(words: [ShellWord; N]) -> ShellLine {
    words.into()
}
