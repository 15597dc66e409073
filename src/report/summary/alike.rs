//! Whether figures of two runs can be held against each other: those of the same pipeline, run with the same variables.
//!
//! Unaware of what the figures are.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde_json::Value;

use super::RunSummary;

/// What a run was about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub pipeline: &'a str,
    /// The pipeline's file.
    pub file: &'a str,
    /// Without secrets.
    pub variables: &'a BTreeMap<String, Value>,
}

/// A variable with the values that it had in two runs.
pub type OtherVariable<'a> = (&'a str, &'a Value, &'a Value);

impl<'a> Subject<'a> {
    pub fn of(run: &'a RunSummary) -> Subject<'a> {
        Subject { pipeline: &run.pipeline, file: run.file.as_str(), variables: &run.variables }
    }

    /// Whether the pipelines are one, in the same file. Its text may have changed: what that is worth is worth knowing.
    pub fn same_pipeline(self, other: Subject) -> bool {
        self.pipeline == other.pipeline && within(self.file) == within(other.file)
    }

    /// The variables with another value. One that only one of the runs has came or went with a change of the pipeline.
    pub fn other_variables(self, other: Subject<'a>) -> Vec<OtherVariable<'a>> {
        let both = self.variables.iter().filter_map(|(name, value)| Some((name, value, other.variables.get(name)?)));
        let roots = (root(self.file), root(other.file));
        both.filter(|(_, before, after)| relative(before, roots.0) != relative(after, roots.1))
            .map(|(name, before, after)| (name.as_str(), before, after))
            .collect()
    }

    /// Whether a difference between the runs is one of what they did, not of what was asked for.
    pub fn is_like(self, other: Subject<'a>) -> bool {
        self.same_pipeline(other) && self.other_variables(other).is_empty()
    }
}

/// Where a pipeline that comes with the program was unpacked: a directory named by the hash of what is in it, which another
/// version has under another name.
fn root(file: &str) -> Option<&str> {
    let is_hash = |name: &str| name.len() == 20 && name.chars().all(|char| char.is_ascii_hexdigit());
    let root = Utf8Path::new(file).ancestors().find(|path| {
        let parent = path.parent().and_then(Utf8Path::file_name);
        path.file_name().is_some_and(is_hash) && parent == Some("pipelines")
    });
    root.map(Utf8Path::as_str)
}

/// A file without the directory that it was unpacked into.
fn within(file: &str) -> &str {
    root(file).and_then(|root| file.strip_prefix(root)).unwrap_or(file)
}

/// A value without that directory: of a path into it what is below.
fn relative(value: &Value, root: Option<&str>) -> Value {
    match (value, root) {
        (Value::String(text), Some(root)) => text.strip_prefix(root).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pipeline: &str, file: &str, variables: &[(&str, Value)]) -> RunSummary {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        RunSummary { pipeline: pipeline.into(), file: file.into(), variables, ..RunSummary::default() }
    }

    fn like(a: &RunSummary, b: &RunSummary) -> bool {
        assert_eq!(Subject::of(a).is_like(Subject::of(b)), Subject::of(b).is_like(Subject::of(a)));
        Subject::of(a).is_like(Subject::of(b))
    }

    #[test]
    fn the_same_file_with_the_same_values() {
        let list = |items: &[&str]| Value::from(items.to_vec());
        let release = run("p", "/w/p.toml", &[("profile", "release".into()), ("train", list(&["a", "b"]))]);
        assert!(like(&release, &release.clone()));
        assert!(!like(&release, &run("p", "/w/p.toml", &[("profile", "dev".into()), ("train", list(&["a", "b"]))])));
        assert!(!like(&release, &run("p", "/w/p.toml", &[("profile", "release".into()), ("train", list(&["a"]))])));
        assert!(!like(&release, &RunSummary { file: "/other/p.toml".into(), ..release.clone() }));
        assert!(!like(&release, &RunSummary { pipeline: "q".into(), ..release.clone() }));
        // The pipeline was changed between them: that is what one would know the effect of.
        let more = [("profile", "release".into()), ("train", list(&["a", "b"])), ("new", true.into())];
        assert!(like(&release, &run("p", "/w/p.toml", &more)));
    }

    #[test]
    fn shipped_pipelines_are_the_same_in_another_version() {
        let of = |hash: &str, below: &str| {
            let root = format!("/w/.optbuild/pipelines/{hash}");
            run("demo", &format!("{root}/demo/pipeline.toml"), &[("data", format!("{root}/demo/{below}").into())])
        };
        let (old, new) = ("594f9e5450fde0bcd662", "e722f09b936e174ac97f");
        assert!(like(&of(old, "data"), &of(new, "data")));
        assert!(!like(&of(old, "data"), &of(new, "more")));
        assert!(!like(&of(old, "data"), &of("not-a-hash", "data")));
    }
}
