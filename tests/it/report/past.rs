//! Which earlier runs are like a run, and what counts as a change between two.

use optbuild::report::model::Run;
use optbuild::report::model::diff::{Change, Diff, Quantity, Verdict};
use serde_json::Value;

fn run(pipeline: &str, file: &str, variables: &[(&str, Value)]) -> Run {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Run { pipeline: pipeline.into(), file: file.into(), variables, ..Run::default() }
}

fn like(a: &Run, b: &Run) -> bool {
    assert_eq!(a.is_like(b), b.is_like(a));
    a.is_like(b)
}

#[test]
fn the_same_file_with_the_same_values() {
    let list = |items: &[&str]| Value::from(items.to_vec());
    let release = run("p", "/w/p.toml", &[("profile", "release".into()), ("train", list(&["a", "b"]))]);
    assert!(like(&release, &release.clone()));
    assert!(!like(&release, &run("p", "/w/p.toml", &[("profile", "dev".into()), ("train", list(&["a", "b"]))])));
    assert!(!like(&release, &run("p", "/w/p.toml", &[("profile", "release".into()), ("train", list(&["a"]))])));
    assert!(!like(&release, &Run { file: "/other/p.toml".into(), ..release.clone() }));
    assert!(!like(&release, &Run { pipeline: "q".into(), ..release.clone() }));
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

#[test]
fn what_counts_as_a_change() {
    let verdict = |quantity, before, after| Change::verdict(quantity, "bytes", before, after);
    // 30 % of a second is noise, so are 4 % of a minute.
    assert_eq!(verdict(Quantity::Duration, 1.0, 1.3), Verdict::Little);
    assert_eq!(verdict(Quantity::Duration, 60.0, 62.4), Verdict::Little);
    assert_eq!(verdict(Quantity::Duration, 60.0, 66.0), Verdict::More);
    assert_eq!(verdict(Quantity::Cpu, 66.0, 60.0), Verdict::Less);
    assert_eq!(verdict(Quantity::Size, 1_000_000.0, 1_000_500.0), Verdict::Little);
    assert_eq!(verdict(Quantity::Size, 1_000_000.0, 1_002_000.0), Verdict::More);
    assert_eq!(verdict(Quantity::Fact, 0.0, 1.0), Verdict::More);
    let points = |before, after| Change::verdict(Quantity::Fact, "%", before, after);
    assert_eq!((points(-7.0, -4.4), points(-7.0, -7.05)), (Verdict::More, Verdict::Little));
    assert_eq!((points(0.0, -0.5), points(0.01, 0.02)), (Verdict::Less, Verdict::Little));
}

#[test]
fn the_largest_change_comes_first() {
    let change = |unit: &str, before, after| Change {
        stage: format!("{before} {after}"),
        quantity: Quantity::Fact,
        name: String::new(),
        unit: unit.into(),
        before,
        after,
        verdict: Verdict::More,
    };
    // A quarter of a share, a tenth of a count, to nothing, three times as much; and one that changes its sign.
    let changes = vec![
        change("%", -20.0, 5.0),
        change("", 10.0, 11.0),
        change("", 3.0, 0.0),
        change("", 1.0, 3.0),
        change("", -1.0, 2.0),
    ];
    let diff = Diff {
        from: String::new(),
        to: String::new(),
        other_pipelines: None,
        other_variables: Vec::new(),
        changes,
        incomparable: Vec::new(),
    };
    let order: Vec<&str> = diff.notable().iter().map(|change| change.stage.as_str()).collect();
    assert_eq!(order, ["3 0", "-1 2", "1 3", "-20 5", "10 11"]);
}
