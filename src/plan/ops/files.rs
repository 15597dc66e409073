//! Operations on files, directories, and what a build tool has left.

use camino::Utf8PathBuf;

use super::{Flag, Limit, Many, Maybe, One, ShellLine, ShellWord, nothing, operations, optbuild, shell};
use crate::plan::{Arg, Symbol};

operations! {
    /// Copies a file or a directory out of a build directory.
    "capture" Capture, in a script capture {
        /// What is copied. A link to a file is followed. Of several the first that is there.
        from: Many<Utf8PathBuf, 1> = "--from",
        /// Where the copy stands. What was there is removed.
        to: One<Utf8PathBuf> = "--to",
        /// Files that are never written in place, as patterns below the directory: hard links where that is possible.
        link: Many<String> = "--link",
        /// Paths below the directory that are left out.
        without: Many<Utf8PathBuf> = "--without",
    }

    /// Copies a bench that cargo has built, whose file has a hash in its name.
    "capture-bench" CaptureBench, in a script optbuild {
        /// What cargo wrote with `--message-format=json`.
        messages: One<Utf8PathBuf> = "--messages",
        /// The bench.
        name: One<String> = "--name",
        /// Where the copy stands. What was there is removed.
        to: One<Utf8PathBuf> = "--to",
    }

    /// Copies a directory and replaces one file in the copy.
    "shadow" Shadow, in a script shadow {
        /// The directory.
        from: One<Utf8PathBuf> = "--from",
        /// Where the copy stands. What was there is removed.
        to: One<Utf8PathBuf> = "--to",
        /// The file, below the directory. A link is followed. Its name can have a `*` that one file matches.
        replace: One<Utf8PathBuf> = "--replace",
        /// What stands in its place. It gets the mode of what it replaces.
        with: One<Utf8PathBuf> = "--with",
    }

    /// Copies a cargo workspace without some members, and without what was built in it.
    "copy-workspace" CopyWorkspace, in a script copy_workspace {
        /// The directory with the workspace's `Cargo.toml`.
        from: One<Utf8PathBuf> = "--from",
        /// Where the copy stands. What was there is removed.
        to: One<Utf8PathBuf> = "--to",
        /// A member that is left out, if it is there.
        without: Many<String> = "--without",
        /// A directory that is left out.
        skip: Many<Utf8PathBuf> = "--skip",
    }

    /// Brings a copy of a source tree up to date, for builds that write beside their sources.
    "copy-source" CopySource, in a script copy_source {
        /// The tree. What git ignores is left out.
        from: One<Utf8PathBuf> = "--from",
        /// Where the copy stands. Other files there stay.
        to: One<Utf8PathBuf> = "--to",
    }

    /// Makes a directory in which tools have the names that a pipeline gives them, for the `PATH` of a script.
    "link-tools" LinkTools, in a script link_tools {
        /// The directory.
        dir: One<Utf8PathBuf> = "--dir",
        /// A name, and the tool.
        tool: Many<String, 0, 2> = "--tool",
    }

    /// Checks that two files are equal, byte for byte.
    "same" Same, in a script same {
        /// What is checked.
        left: One<Utf8PathBuf> = "--left",
        /// What it must be equal to.
        right: One<Utf8PathBuf> = "--right",
        /// What printed them, for messages.
        label: One<String> = "--label",
    }

    /// Puts a file in the place of another one, under all names that it has. The new file keeps time and mode.
    "put-in-place" PutInPlace, in a script optbuild {
        /// The file that is put there. It is copied.
        file: One<Utf8PathBuf> = "--file",
        /// The file whose place it takes. Its name can have a `*` that one file matches.
        target: One<Utf8PathBuf> = "--target",
        /// Where its other names are looked for.
        links_below: One<Utf8PathBuf> = "--links-below",
        /// Keeps the original, as `NAME.orig` in the directory `optbuild-originals` of `--links-below`: build tools empty their own
        /// directories.
        keep_original: Flag = "--keep-original",
        /// A directory that is made anew out of files with more names: the place is the name that lies outside of it.
        origin_outside: Many<Utf8PathBuf> = "--origin-outside",
        /// The stage that builds what is replaced, for messages.
        built_by: Maybe<String> = "--built-by",
    }

    // A script begins with nothing, and so with nothing replaced.
    /// Puts back what `put-in-place` has replaced.
    "restore" Restore, in a script nothing {
        /// Where it was replaced.
        below: One<Utf8PathBuf> = "--below",
    }

    /// Removes directories unless they were begun with the same options.
    "clear-if-changed" ClearIfChanged, in a script clear_if_changed {
        /// The text file that says with which options.
        stamp: One<Utf8PathBuf> = "--stamp",
        /// An option: any text.
        option: Many<String> = "--option",
        /// A directory whose files are an option: their names, sizes and times. For a build tool that looks at the same.
        tree: Maybe<Utf8PathBuf> = "--tree",
        /// What is removed, a directory or a file. Its name can have a `*`.
        clear: Many<Utf8PathBuf> = "--clear",
        /// What the build tool keeps beside that, and stays. It shows that the build tool names things as `--clear` does.
        beside: Many<Utf8PathBuf> = "--beside",
        /// A file that is looked for in its directory and below. Where it is there, something of `--clear` or `--beside` must be there, too.
        built: Many<Utf8PathBuf> = "--built",
    }

    /// Reports how long the steps of the last call of x.py took.
    "metrics" Metrics, in a script nothing {
        /// `metrics.json` in the build directory.
        file: One<Utf8PathBuf> = "--file",
    }

    /// Checks that a file system has room.
    "check-space" CheckSpace, in a script nothing {
        /// A directory that will grow. What it holds already counts as written.
        dir: One<Utf8PathBuf> = "--dir",
        /// How many bytes it is going to hold.
        bytes: Limit<u64> = "--bytes",
        /// The key of the stage that says how many.
        key: Maybe<String> = "--key",
    }

    // A script shows the compilers' flags.
    /// Checks that a static library was compiled for link-time optimisation.
    "check-lto" CheckLto, in a script nothing {
        /// The library.
        archive: One<Utf8PathBuf> = "ARCHIVE",
    }
}

impl planned::Capture {
    /// Copies one file or directory as it is.
    pub fn new(from: Arg, to: Arg) -> planned::Capture {
        planned::Capture { from: vec![from], to, link: Vec::new(), without: Vec::new() }
    }
}

impl planned::ClearIfChanged {
    /// Removes what some paths name where the options are others.
    pub fn new(stamp: Arg, option: Vec<Arg>, clear: Vec<Arg>) -> planned::ClearIfChanged {
        planned::ClearIfChanged { stamp, option, tree: None, clear, beside: Vec::new(), built: Vec::new() }
    }
}

fn capture(op: &planned::Capture) -> Option<Vec<ShellLine>> {
    let mut lines = Vec::new();
    for (index, from) in op.from.iter().enumerate() {
        let test = if index == 0 { "if" } else { "elif" };
        lines.push(shell![format!("{test} [ -e "), from, " ]; then"]);
        lines.push(shell!["  capture ", from, " ", &op.to]);
    }
    match op.from.as_slice() {
        [only] => lines = vec![shell!["capture ", only, " ", &op.to]],
        [first, ..] => lines.push(shell!["else fail 'there is no '", first, "; fi"]),
        [] => {}
    }
    lines.extend(op.without.iter().map(|path| shell!["rm -rf ", &op.to.clone().with("/").with(path.clone())]));
    Some(lines)
}

fn shadow(op: &planned::Shadow) -> Option<Vec<ShellLine>> {
    let (from, to) = (&op.from, &op.to);
    let file = to.clone().with("/").with(op.replace.clone());
    Some(vec![
        shell!["rm -rf ", to, "; mkdir -p ", to],
        shell!["cp -a ", from, "/. ", to, "/"],
        // A link is followed to the file; a new file, so that other names of it keep their content.
        shell!["replace=$(readlink -f ", &file, ")"],
        shell!["cp --remove-destination ", &op.with, " \"$replace\""],
    ])
}

fn copy_workspace(op: &planned::CopyWorkspace) -> Option<Vec<ShellLine>> {
    let (from, to) = (&op.from, &op.to);
    let mut lines = vec![shell!["rm -rf ", to, "; mkdir -p ", to], shell!["cp -a ", from, "/. ", to, "/"]];
    for member in &op.without {
        let section = format!("-e '/^\\[profile\\..*\\.package\\.{member}\\]/,/^$/d' ");
        lines.push(shell![format!("sed -i -e 's/\"{member}\",\\{{0,1\\}}//' {section}"), to, "/Cargo.toml"]);
    }
    let left_out = op.without.iter().chain(&op.skip).map(ToString::to_string);
    let left_out = left_out.chain(["target", ".git"].map(String::from));
    lines.extend(left_out.map(|dir| shell!["rm -rf ", to, format!("/{dir}")]));
    Some(lines)
}

fn copy_source(op: &planned::CopySource) -> Option<Vec<ShellLine>> {
    Some(vec![shell!["mkdir -p ", &op.to], shell!["cp -a ", &op.from, "/. ", &op.to, "/"]])
}

fn link_tools(op: &planned::LinkTools) -> Option<Vec<ShellLine>> {
    let mut lines = vec![shell!["mkdir -p ", &op.dir]];
    for pair in op.tool.chunks_exact(2) {
        lines.push(shell!["ln -sf ", &pair[1], " ", &op.dir.clone().with("/").with(pair[0].clone())]);
    }
    Some(lines)
}

fn same(op: &planned::Same) -> Option<Vec<ShellLine>> {
    Some(vec![shell!["diff ", &op.left, " ", &op.right]])
}

/// A script begins with nothing, but its stages follow each other. Sources do not change between them.
fn clear_if_changed(op: &planned::ClearIfChanged) -> Option<Vec<ShellLine>> {
    if op.tree.is_some() {
        return Some(Vec::new());
    }
    let (stamp, fresh) = (&op.stamp, &Arg::from(Symbol::Scratch).join("options"));
    let words = |begin: ShellLine, all: &[Arg]| -> ShellLine {
        begin.into_iter().chain(all.iter().flat_map(|arg| [" ".into(), ShellWord::from(arg)])).collect()
    };
    let mut write = words(shell!["printf '%s\\n'"], &op.option);
    write.extend(shell![" > ", fresh]);
    Some(vec![
        write,
        words(shell!["cmp -s ", fresh, " ", stamp, " || rm -rf"], &op.clear),
        shell!["mkdir -p \"$(dirname ", stamp, ")\"; cp ", fresh, " ", stamp],
    ])
}
