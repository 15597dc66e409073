//! What a stage's facts say of profiles, in a sentence: for tables in which a row of numbers would say nothing.
//!
//! Knows names of facts, not who reported them.

use crate::event::Fact;
use crate::names::StepId;
use crate::text;

/// Of a profile that was gathered: `310 functions, 76 % never run, largest count 9,829,101, read by LLVM 22 and newer`. Of a build that
/// used one: `98.2 % of 1,425 functions in the program have a profile …`. None: there is nothing of profiles among the
/// facts.
fn sentence<'a>(facts: impl IntoIterator<Item = (&'a str, f64)>) -> Option<String> {
    let facts: Vec<(&str, f64)> = facts.into_iter().collect();
    let of = |name: &str| facts.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value);
    if let Some(largest) = of("largest-count") {
        return Some(gathered(of, largest));
    }
    of("functions-without-profile").map(|without| used(of, without))
}

/// The same of the facts of each step. Where a build used several profiles, the steps are named after what they
/// are of, and so the sentences: `llvm: 97 % of 80,123 functions have a profile`.
pub fn sentences(facts: &[Fact]) -> Vec<String> {
    let told = by_step(facts).into_iter().filter_map(|(step, facts)| {
        let sentence = sentence(facts)?;
        Some(match step.step.as_ref().and_then(|step| step.strip_prefix("check-profile-use-")) {
            Some(component) => format!("{component}: {sentence}"),
            None => sentence,
        })
    });
    told.collect()
}

/// The steps of which [`sentences`] has one.
pub fn told(facts: &[Fact]) -> Vec<&StepId> {
    by_step(facts).into_iter().filter_map(|(step, facts)| sentence(facts).map(|_| step)).collect()
}

fn by_step(facts: &[Fact]) -> Vec<(&StepId, Vec<(&str, f64)>)> {
    let mut steps: Vec<(&StepId, Vec<(&str, f64)>)> = Vec::new();
    for Fact { step, name, value, .. } in facts {
        match steps.iter_mut().find(|(known, _)| *known == step) {
            Some((_, facts)) => facts.push((name, *value)),
            None => steps.push((step, vec![(name, *value)])),
        }
    }
    steps
}

fn gathered(of: impl Fn(&str) -> Option<f64>, largest: f64) -> String {
    let mut parts = vec![text::plural(of("functions").unwrap_or(0.0) as usize, "function")];
    parts.extend(of("never-run").map(|percent| format!("{} never run", text::percent(percent, 100.0))));
    parts.push(format!("largest count {}", text::count(largest as u64)));
    parts.extend(of("read-by-LLVM").map(|major| format!("read by LLVM {major} and newer")));
    let foreign = of("of-the-build").filter(|percent| *percent < 99.95);
    parts.extend(foreign.map(|percent| format!("{percent:.1} % of them of the instrumented build")));
    parts.join(", ")
}

fn used(of: impl Fn(&str) -> Option<f64>, without: f64) -> String {
    let numbers = [(without, "without"), (of("mismatched-functions").unwrap_or(0.0), "with one of other code")];
    let told = numbers.iter().filter(|(number, _)| *number > 0.0);
    let rest = told.map(|(number, what)| format!("{} {what}", text::count(*number as u64)));
    let rest = rest.collect::<Vec<_>>().join(", ");
    match (of("without-profile"), of("functions-in-program")) {
        (Some(percent), Some(all)) => {
            let have = format!("{} in the program have a profile", share(percent, all));
            // Much that is compiled is in no program.
            if rest.is_empty() { have } else { format!("{have}; of all that was compiled, {rest}") }
        }
        _ if rest.is_empty() => "every function that was compiled has a profile".into(),
        _ => format!("of all that was compiled, {rest}"),
    }
}

/// Those that are left when a share has none. A few of many are no rounded 100 %.
fn share(percent_without: f64, all: f64) -> String {
    let functions = text::plural(all as usize, "function");
    let without = (all * percent_without / 100.0).round();
    match format!("{:.1}", 100.0 - percent_without).as_str() {
        "100.0" if without > 0.0 => format!("all but {} of {functions}", text::count(without as u64)),
        with => format!("{} % of {functions}", with.strip_suffix(".0").unwrap_or(with)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        let facts = [("functions", 310.0), ("never-run", 75.8), ("largest-count", 9_829_101.0), ("read-by-LLVM", 22.0)];
        let text = "310 functions, 76 % never run, largest count 9,829,101, read by LLVM 22 and newer";
        assert_eq!(sentence(facts).unwrap(), text);
        let facts = [("functions", 2.0), ("largest-count", 7.0), ("of-the-build", 50.0)];
        assert_eq!(sentence(facts).unwrap(), "2 functions, largest count 7, 50.0 % of them of the instrumented build");
        // 1,400 of 1,425 are 98.245… %.
        let with = [("functions-in-program", 1425.0), ("without-profile", 100.0 * 25.0 / 1425.0)];
        let counted = [("functions-without-profile", 23.0), ("mismatched-functions", 2.0)];
        let text = "98.2 % of 1,425 functions in the program have a profile; of all that was compiled, 23 without, 2 with one of \
                    other code";
        assert_eq!(sentence(with.into_iter().chain(counted)).unwrap(), text);
        let text = "of all that was compiled, 23 without, 2 with one of other code";
        assert_eq!(sentence(counted).unwrap(), text);
        let all = [("functions-in-program", 3.0), ("without-profile", 0.0), ("functions-without-profile", 0.0)];
        assert_eq!(sentence(all).unwrap(), "100 % of 3 functions in the program have a profile");
        // llc of LLVM 19, of which two functions have none.
        let two = [("functions-in-program", 70_012.0), ("without-profile", 200.0 / 70_012.0)];
        let two = two.into_iter().chain([("functions-without-profile", 6184.0)]);
        let text =
            "all but 2 of 70,012 functions in the program have a profile; of all that was compiled, 6,184 without";
        assert_eq!(sentence(two).unwrap(), text);
        assert_eq!(sentence([("size", 1.0)]), None);
        let (rustc, llvm) = ("check-profile-use-rustc", "check-profile-use-llvm");
        let name = "functions-without-profile";
        let reported = [("x.py", "inner/llvm", 3.0), (rustc, name, 1.0), (llvm, name, 0.0)];
        let told = sentences(&reported.map(|(step, name, value)| Fact::number(name, value).of(&StepId::step(step))));
        let expected =
            ["rustc: of all that was compiled, 1 without", "llvm: every function that was compiled has a profile"];
        assert_eq!(told, expected);
    }
}
