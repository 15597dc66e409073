//! The command lines of optbuild's own operations: written, read back, and explained.

use std::fmt::Debug;

use optbuild::op::{ALL, help};
use optbuild::plan::ops::{ComparedWorkload, GivenValues, Operation, given};

/// For an argument, the values of each time that it is given.
type Given = Vec<Vec<String>>;

/// What each argument can be: any words that it can be read from, as odd as they can be.
fn samples<O: Operation>() -> Vec<Vec<Given>> {
    let words = [&["-x y=z\n"][..], &["a"], &[""], &["7"], &["3%"], &["fdata"], &["a", "--b", ""], &[]];
    let once = words.map(|words| vec![words.iter().map(ToString::to_string).collect::<Vec<_>>()]);
    let twice: Vec<_> = once[0].iter().chain(&once[1]).cloned().collect();
    let any: Vec<Given> = once.into_iter().chain([Vec::new(), twice]).collect();
    let mut all: Vec<Vec<Given>> = Vec::new();
    for argument in O::ARGUMENTS {
        let fits =
            |given: &Given| argument.values == usize::MAX || given.iter().all(|values| values.len() == argument.values);
        // Arguments are read in their order: with those before it as they can be, the first complaint is about this one or a later one.
        let is_read = |given: &Given| {
            let before = all.iter().map(|samples| samples[0].clone());
            let rest = O::ARGUMENTS[all.len() + 1..].iter().map(|_| Vec::new());
            let read = O::of(before.chain([given.clone()]).chain(rest).collect());
            read.err().is_none_or(|error| !error.message.starts_with(&format!("`{}`", argument.name)))
        };
        let samples: Vec<Given> = any.iter().filter(|given| fits(given) && is_read(given)).cloned().collect();
        assert!(!samples.is_empty(), "{}", argument.name);
        all.push(samples);
    }
    all
}

/// With each argument as odd as it can be: what is written is read back as it was, in the process and in a plan.
fn is_read_back<O: Operation + PartialEq + Debug>() {
    let samples = samples::<O>();
    // More than any argument has samples; as their numbers differ, they come in many combinations.
    for number in 0..11 {
        let operation = O::of(samples.iter().map(|all| all[number % all.len()].clone()).collect()).unwrap();
        let words: Vec<String> = operation.write().iter().map(ToString::to_string).collect();
        assert_eq!(words[0], O::NAME);
        assert_eq!(O::read(&words[1..]).unwrap(), operation, "{words:?}");
    }
}

macro_rules! round_trips {
    ($($Op:ident)*) => {
        mod round_trip {
            $(
                #[test]
                #[allow(non_snake_case)]
                fn $Op() {
                    super::is_read_back::<super::given::$Op>();
                }
            )*
        }

        /// The operations that are tested.
        const TESTED: &[&str] = &[$(<given::$Op as Operation>::NAME),*];
    };
}

round_trips! {
    Merge StreamMerge TakeProfile CheckProfile CheckGathered CheckFit CheckHarness CheckLast CheckProfileUse CheckInstrumented CountInstrumented
    CheckBoltInput PlainDebug CompressLike CheckBolted CheckBoltProfile CheckBoltUse BoltStatistics BoltAdvice StripLike ClearSlot
    Collect
    Capture CaptureBench Shadow CopyWorkspace CopySource LinkTools Same PutInPlace Restore
    CargoAdvice ClearIfChanged Metrics CheckSpace CheckLto
    WrapCompilers CheckCompiled Drive WaitFor
    Compare
}

#[test]
fn every_operation_is_among_the_round_trips() {
    let help = help(&["--help".into()]).unwrap();
    let all: Vec<&str> = help.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(all, TESTED);
}

#[test]
fn words_that_are_no_command_line_are_refused() {
    let read = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(Into::into).collect();
        given::CheckSpace::read(&words).map_err(|error| error.message)
    };
    let space = given::CheckSpace { dir: "--bytes".into(), bytes: 7, key: None };
    assert_eq!(read("--bytes 7 --dir --bytes"), Ok(space));
    for (line, says) in [
        ("--dir d", "`--bytes` is missing"),
        ("--dir d --bytes 7 --bytes 7", "`--bytes` is given more than once"),
        ("--dir d --bytes", "`--bytes` has no value"),
        ("--dir d --bytes 7 x", "it takes no `x`"),
        ("--dir d --bytes 7 --force", "it takes no `--force`"),
        ("--dir d --bytes many", "`--bytes`: `many` is not as expected: invalid digit found in string"),
    ] {
        assert_eq!(read(line), Err(says.into()), "{line}");
    }
}

fn read(line: &str) -> Result<Vec<ComparedWorkload<GivenValues>>, String> {
    ComparedWorkload::read(&line.split(' ').map(Into::into).collect::<Vec<_>>())
}

#[test]
fn workloads_on_the_command_line() {
    let line = "workload s patience 2 server 2 {program} -p ready 1 x stop 1 y run 1 z";
    let served = read(line).unwrap();
    let written: Vec<String> = served[0].write().iter().map(|arg| arg.to_string()).collect();
    assert_eq!(written.join(" "), line);
    assert_eq!(served[0].served.as_ref().unwrap().server, ["{program}", "-p"]);
    let line = "workload a env X=1 env Y= cwd /w run 2 {program} run workload b run 1 x workload c own-cwd /w run 1 x";
    let all = read(line).unwrap();
    let words = |line: &str| -> Vec<String> { line.split(' ').map(Into::into).collect() };
    assert_eq!(all[0].words, ["{program}", "run"]);
    assert_eq!(all[0].env, ["X=1", "Y="]);
    assert_eq!(all[0].cwd.as_deref().map(|path| path.as_str()), Some("/w"));
    assert!(!all[0].own_cwd, "a directory that is named is not made");
    let name = |name: &str| name.to_string();
    let served = None;
    let second = ComparedWorkload { name: name("b"), env: vec![], cwd: None, own_cwd: true, served, words: words("x") };
    assert_eq!(all[1], second);
    assert_eq!(all[2], ComparedWorkload { name: name("c"), cwd: Some("/w".into()), ..second });
    let written: Vec<String> = all.iter().flat_map(ComparedWorkload::write).map(|arg| arg.to_string()).collect();
    assert_eq!(written.join(" "), line);
    for wrong in ["workload", "env X=1", "workload a", "workload a run 3 x y", "workload a run 0", "workload a at x"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn help_says_what_an_operation_does() {
    let asked = |line: &str| help(&line.split_whitespace().map(Into::into).collect::<Vec<_>>());
    let all = asked("--help").unwrap();
    assert_eq!(all.lines().count(), ALL.len());
    assert!(all.contains("capture              Copies a file or a directory"), "{all}");
    let one = asked("merge --help").unwrap();
    assert!(one.starts_with("Merges the profiles below directories into one file.\n"), "{one}");
    assert!(one.contains("--max-damaged        The share") && one.contains("[default: 1%]"), "{one}");
    assert_eq!(asked("merge --format --help"), None, "a value can be anything");
}
