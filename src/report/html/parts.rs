//! Small things that several sections are made of. A number stands in a `data` element that has it unrounded.

use maud::{Markup, html};

use crate::event::{Fact, StageState};
use crate::report::model::{Outcome, Run};
use crate::report::paint::Tone;
use crate::report::summary;
use crate::text;

pub(super) fn seconds(value: f64) -> Markup {
    html! { data value=(value) { (text::duration(value)) } }
}

pub(super) fn bytes(value: u64) -> Markup {
    html! { data value=(value) { (text::size(value)) } }
}

pub(super) fn count(value: u64) -> Markup {
    html! { data value=(value) { (text::count(value)) } }
}

/// A noun behind a number.
pub(super) fn noun(number: u64, noun: &str) -> String {
    format!("{noun}{}", if number == 1 { "" } else { "s" })
}

/// A number with the unit that an operation gave it.
pub(super) fn quantity(value: f64, unit: &str) -> Markup {
    html! { data value=(value) { (text::quantity(value, unit)) } }
}

/// A change where more is worse.
pub(super) fn change(before: f64, after: f64) -> Markup {
    let percent = text::percent_change(before, after);
    let tone = match percent.as_str() {
        "" | "±0 %" => "same",
        _ if after > before => "worse",
        _ => "better",
    };
    html! { @if !percent.is_empty() { span class=(tone) { (percent) } } }
}

/// A bar for a share of something.
pub(super) fn bar(part: f64, whole: f64) -> Markup {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    html! { span.bar aria-hidden="true" { i style=(format!("width:{share:.2}%")) {} } }
}

/// A line through values, oldest first; nothing for fewer than two.
pub(super) fn sparkline(values: &[f64]) -> Markup {
    let (least, most) =
        values.iter().fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)));
    let last = values.len().saturating_sub(1).max(1) as f64;
    let point = |(index, value): (usize, &f64)| {
        let y = if most > least { 14.0 - 12.0 * (value - least) / (most - least) } else { 8.0 };
        format!("{:.1},{y:.1}", index as f64 / last * 60.0)
    };
    let points: Vec<String> = values.iter().enumerate().map(point).collect();
    html! {
        @if values.len() > 1 {
            svg.spark viewBox="-1 0 62 16" width="62" height="16" aria-hidden="true" { polyline points=(points.join(" ")) {} }
        }
    }
}

/// A status with its colour. `running`: the run is under way.
pub(super) fn state(state: StageState, running: bool) -> Markup {
    html! { span class=(format!("pill {}", tone(state))) { (state.words(running)) } }
}

/// The class of a state.
pub(super) fn tone(state: StageState) -> &'static str {
    match summary::tone(state) {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Warn => "warn",
        _ => "dim",
    }
}

/// What became of a run, up to now.
pub(super) fn outcome_of(run: &Run) -> &'static str {
    if run.running { "still running" } else { outcome(run.outcome) }
}

pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
        Outcome::Unfinished => "not finished",
    }
}

pub(super) fn outcome_tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "good",
        Outcome::Failed => "bad",
        Outcome::Interrupted | Outcome::Unfinished => "warn",
    }
}

/// A table that can be moved sideways where it is wider than the screen. Names of columns of numbers begin with `>`; without names
/// there is no head.
pub(super) fn table(columns: &[&str], rows: &Markup) -> Markup {
    scrolled(None, columns, &html! { tbody { (rows) } })
}

/// The same of a body that has a class, or of several.
pub(super) fn scrolled(class: Option<&str>, columns: &[&str], bodies: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table class=[class] {
                @if !columns.is_empty() {
                    thead {
                        tr {
                            @for column in columns {
                                @match column.strip_prefix('>') { Some(name) => th.num { (name) }, None => th { (column) } }
                            }
                        }
                    }
                }
                (bodies)
            }
        }
    }
}

/// Names with what they stand for.
pub(super) fn facts(facts: &[Fact]) -> Markup {
    html! {
        dl.pairs {
            @for fact in facts {
                dt { (fact.name.replace('-', " ")) span.dim { " (" (fact.step) ")" } }
                dd { (quantity(fact.value, &fact.unit)) }
            }
        }
    }
}
