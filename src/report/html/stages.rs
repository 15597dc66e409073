//! Stages over time, what each took and made, gathered and optimised; and each for itself: why it ran, its steps with their commands,
//! and what happened inside of them.

use maud::{Markup, html};

use crate::event::StageState;
use crate::report::model::{Outcome, Output, Profile, Report, Run, Stage, Step, StepKind};
use crate::text;

/// Lengths between two marks of the axis, in seconds.
const MARKS: [f64; 19] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0,
    28800.0,
];
/// So many marks at most.
const MOST_MARKS: f64 = 8.0;

/// How high a lane of workloads is, and the bar of a stage, in pixels.
const LANE: usize = 7;
const BAR: usize = 18;

/// So many inner steps are shown; the rest is in the JSON form.
const INNER: usize = 40;
/// So many of a profile's functions are shown without being asked for.
const HOTTEST: usize = 20;

pub(super) fn table(report: &Report) -> Option<Markup> {
    if report.stages.is_empty() {
        return None;
    }
    let wall = report.run.wall;
    let before = report.stages.iter().any(|stage| stage.before.is_some());
    let columns = ["stage", "status", ">time", "share", ">change", ">CPU", ">largest process", ">outputs"];
    let columns: Vec<&str> = columns.into_iter().filter(|column| before || *column != ">change").collect();
    Some(super::scrolled(
        Some("stages"),
        &columns,
        &html! {
            tbody {
                @for stage in &report.stages {
                    tr data-stage=(stage.name) {
                        td { a href=(format!("#stage-{}", stage.name)) { (stage.name) } }
                        td { (super::state(stage.state, report.run.running)) }
                        @if stage.start.is_some() {
                            td.num.duration { (super::seconds(stage.duration)) }
                            td.share { (super::bar(stage.duration, wall)) (text::percent(stage.duration, wall)) }
                            @if before { td.num { @if let Some(before) = &stage.before { (super::change(before.duration, stage.in_all())) } } }
                        } @else if let Some(made) = &stage.made {
                            td.num.dim.saved { (super::seconds(made.duration)) }
                            td.dim { "saved" }
                            @if before { td {} }
                        } @else {
                            td colspan=(if before { 3 } else { 2 }) {}
                        }
                        td.num.cpu { @if stage.cpu() > 0.0 { (super::seconds(stage.cpu())) } }
                        td.num.peak { @if stage.peak_memory > 0 { (super::bytes(stage.peak_memory)) } }
                        td.num { @if !stage.outputs.is_empty() { (text::size(stage.shown_outputs().map(|output| output.bytes).sum())) } }
                    }
                }
            }
        },
    ))
}

pub(super) fn outputs(report: &Report) -> Option<Markup> {
    let with: Vec<&Stage> = report.stages.iter().filter(|stage| !stage.outputs.is_empty()).collect();
    if with.is_empty() {
        return None;
    }
    let earlier = with.iter().any(|stage| stage.outputs.iter().any(|output| !output.earlier.is_empty()));
    let columns: &[&str] = if earlier {
        &["output", ">size", ">change", "earlier runs", ">files", "path"]
    } else {
        &["output", ">size", ">files", "path"]
    };
    Some(super::scrolled(
        Some("outputs"),
        columns,
        &html! {
            tbody {
                @for stage in with {
                    @for output in stage.shown_outputs() {
                        tr data-output=(format!("{}.{}", stage.name, output.name)) {
                            td { (stage.name) "." b { (output.name) } }
                            td.num { (super::bytes(output.bytes)) }
                            @if earlier { (size_change(output)) }
                            td.num { (super::count(output.files)) }
                            td { code { (output.path) } }
                        }
                    }
                }
            }
        },
    ))
}

/// How its size changed, and the sizes that it had.
fn size_change(output: &Output) -> Markup {
    let earlier = output.earlier.iter().map(|earlier| earlier.bytes as f64);
    let sizes: Vec<f64> = earlier.chain([output.bytes as f64]).collect();
    html! {
        td.num {
            @if let Some(before) = output.before() {
                (super::change(before as f64, output.bytes as f64))
                @if before != output.bytes && text::percent_change(before as f64, output.bytes as f64) == "±0 %" {
                    " (" (text::size_change(before, output.bytes)) ")"
                }
            }
        }
        td { (super::sparkline(&sizes)) }
    }
}

pub(super) fn details(report: &Report) -> Option<Markup> {
    Some(html! { @for stage in &report.stages { (stage_of(stage, report.run.running)) } })
}

fn stage_of(stage: &Stage, running: bool) -> Markup {
    let failed = stage.state == StageState::Failed;
    html! {
        details.stage id=(format!("stage-{}", stage.name)) open[failed] {
            summary {
                b { (stage.name) } " " (super::state(stage.state, running)) " "
                @if stage.start.is_some() { (super::seconds(stage.duration)) }
            }
            @if let Some(why) = &stage.why {
                p { (if stage.state == StageState::Blocked { "Blocked by " } else { "Skipped: " }) (why) }
            }
            @if let Some(made) = &stage.made {
                p { "Made in " (super::seconds(made.duration)) @if !made.run.is_empty() { " by run " code { (made.run) } } "." }
            }
            @if stage.earlier > 0.0 { p { "Earlier runs had worked on it for " (super::seconds(stage.earlier)) "." } }
            @if !stage.reasons.is_empty() { p { "It ran because " (stage.reasons.join("; ")) "." } }
            @if stage.workloads.total > 0 {
                p { (super::count(stage.workloads.committed as u64)) " of " (text::plural(stage.workloads.total, "workload")) " count." }
            }
            @if stage.retries > 0 { p { (text::plural(stage.retries, "step")) " had to be tried again." } }
            @for warning in &stage.warnings { p.warn { (warning.text) } }
            @if !stage.notes.is_empty() { ul { @for note in &stage.notes { li { (note) } } } }
            @if !stage.inner.is_empty() { (inner(stage)) }
            @if !stage.steps.is_empty() { (steps(stage, running)) }
            @if !stage.facts.is_empty() && stage.profile.is_none() {
                (super::facts(&stage.facts))
            }
        }
    }
}

fn inner(stage: &Stage) -> Markup {
    let longest = stage.inner.first().map_or(0.0, |inner| inner.seconds);
    html! {
        h4 { "Inside of it" }
        (super::table(&[], &html! {
            @for inner in stage.inner.iter().take(INNER) {
                tr { td.num { (super::seconds(inner.seconds)) } td.share { (super::bar(inner.seconds, longest)) } td { code { (inner.name) } } }
            }
        }))
        @if stage.inner.len() > INNER {
            p.dim { "and " (stage.inner.len() - INNER) " shorter ones" }
        }
    }
}

fn steps(stage: &Stage, running: bool) -> Markup {
    html! {
        ol.steps {
            @for step in stage.main_steps() {
                li {
                    (line(step, running))
                    @if !step.command.is_empty() {
                        details { summary { "command" } pre.command { (step.command) } p.dim { "log: " code { (step.log) } } }
                    }
                }
            }
        }
    }
}

fn line(step: &Step, running: bool) -> Markup {
    html! {
        div.line {
            b { (step.name) }
            @match step.duration {
                Some(duration) => { (super::seconds(duration)) }
                None => span.warn { (StageState::Running.words(running)) },
            }
            @if step.outcome != Outcome::Done && step.duration.is_some() {
                span.bad { (super::outcome(step.outcome)) }
            }
            @if step.cpu() > 0.0 { span.dim { "CPU " (super::seconds(step.cpu())) } }
            @if step.peak_memory > 0 { span.dim { (super::bytes(step.peak_memory)) } }
        }
    }
}

pub(super) fn profiles(report: &Report) -> Option<Markup> {
    let with = || report.stages.iter().filter_map(|stage| Some((stage, stage.profile.as_ref()?)));
    with().next()?;
    Some(html! {
        @for (stage, profile) in with() {
            div.card data-profile=(stage.name) {
                h3 { (stage.name) }
                (profile_of(profile))
                @if !stage.facts.is_empty() { (super::facts(&stage.facts)) }
            }
        }
    })
}

fn profile_of(profile: &Profile) -> Markup {
    let most = profile.workloads.iter().map(|workload| workload.bytes).max().unwrap_or(0) as f64;
    let hottest = profile.hottest.first().map_or(0.0, |hot| hot.count);
    html! {
        p {
            b { (super::count(profile.files)) } (super::noun(profile.files, " raw profile")) ", " b { (super::bytes(profile.bytes)) }
            ", became one with " b { (super::count(profile.functions)) } (super::noun(profile.functions, " function"))
            @if profile.damaged > 0 {
                "; " (super::count(profile.damaged)) (if profile.damaged == 1 { " was" } else { " were" }) " damaged and left out"
            }
            "."
        }
        @if profile.workloads.len() > 1 {
            details {
                summary { (text::plural(profile.workloads.len(), "workload")) }
                (super::table(&["workload", ">share", ">profiles", ">bytes", "", ">functions"], &html! {
                    @for workload in &profile.workloads {
                        tr {
                            td { (workload.name) }
                            td.num { @if let Some(share) = workload.share { (text::percent(share, 100.0)) } }
                            td.num { (super::count(workload.files)) }
                            td.num { (super::bytes(workload.bytes)) }
                            td.share { (super::bar(workload.bytes as f64, most)) }
                            td.num { (super::count(workload.functions)) }
                        }
                    }
                }))
            }
        }
        @if !profile.hottest.is_empty() {
            details {
                summary { "Hottest functions" }
                (super::table(&[], &html! {
                    @for hot in profile.hottest.iter().take(HOTTEST) {
                        tr { td.share { (super::bar(hot.count, hottest)) } td.num { (super::quantity(hot.count, "")) } td { code { (hot.function) } } }
                    }
                }))
            }
        }
    }
}

pub(super) fn bolt(report: &Report) -> Option<Markup> {
    let with = || report.stages.iter().filter_map(|stage| Some((stage, stage.bolt.as_ref()?)));
    with().next()?;
    Some(html! {
        @for (stage, bolt) in with() {
            div.card data-bolt=(stage.name) {
                h3 { (stage.name) }
                @if !bolt.dyno.is_empty() {
                    p.dim { "What its own estimate says is executed with the profile's workloads, per run of all of them." }
                    (super::table(&["executed", ">before", ">after", ">change"], &html! {
                        @for dyno in &bolt.dyno {
                            tr.key[dyno.name == "taken branches"] {
                                td { (dyno.name) }
                                td.num { (super::quantity(dyno.before, "")) }
                                td.num { (super::quantity(dyno.after, "")) }
                                td.num { (exact_change(dyno.before, dyno.after)) }
                            }
                        }
                    }))
                }
                @if !bolt.counts.is_empty() {
                    dl.pairs {
                        @for count in &bolt.counts { dt { (count.name) } dd { (super::quantity(count.value, &count.unit)) } }
                    }
                }
            }
        }
    })
}

/// llvm-bolt says it with a tenth of a percent. More forward branches are neither good nor bad, hence without a colour.
fn exact_change(before: f64, after: f64) -> String {
    if before <= 0.0 || before == after {
        return "=".into();
    }
    format!("{:+.1} %", (after - before) / before * 100.0)
}

/// Stages and workloads over time, below what they used. Bars are placed in percent of the run's length, so that it fits any screen.
pub(super) fn waterfall(report: &Report) -> Option<Markup> {
    let wall = report.run.wall;
    let began = report.stages.iter().any(|stage| stage.start.is_some());
    if !began || wall <= 0.0 {
        return None;
    }
    let mark = MARKS.into_iter().find(|mark| wall / mark <= MOST_MARKS).unwrap_or(86400.0);
    let marks: Vec<f64> = (0..).map(|number| f64::from(number) * mark).take_while(|at| *at <= wall * 0.97).collect();
    Some(html! {
        div.waterfall style=(format!("--mark:{:.4}%", mark / wall * 100.0)) data-wall=(wall) {
            (chart("CPU", "cores", &report.timeline.cores, &|most| format!("{most:.*} cores", if most < 0.95 { 2 } else { 1 })))
            (chart("memory", "memory", &memory(report), &|most| text::size(most as u64)))
            div.row.axis {
                span.label {}
                div.track {
                    @for at in &marks {
                        span style=(format!("left:{:.3}%", at / wall * 100.0)) { (mark_text(*at, mark)) }
                    }
                }
                span.length {}
            }
            @for stage in &report.stages { (row(stage, &report.run)) }
            p id="readout" aria-live="off" { "\u{a0}" }
        }
    })
}

fn memory(report: &Report) -> Vec<f64> {
    report.timeline.memory.iter().map(|bytes| *bytes as f64).collect()
}

fn mark_text(at: f64, mark: f64) -> String {
    match (at, mark) {
        (0.0, _) => "0".into(),
        (_, mark) if mark < 1.0 => text::duration(at),
        _ => text::elapsed(at).replace(" 00 s", "").replace(" 00 m", ""),
    }
}

/// What all commands used, as an area.
fn chart(name: &str, key: &str, values: &[f64], label: &dyn Fn(f64) -> String) -> Markup {
    let most = values.iter().copied().fold(0.0, f64::max);
    let y = |value: f64| if most > 0.0 { 100.0 - value / most * 96.0 } else { 100.0 };
    let mut path = String::from("M0,100");
    for (index, value) in values.iter().enumerate() {
        path.push_str(&format!(" L{index},{:.1} L{},{:.1}", y(*value), index + 1, y(*value)));
    }
    path.push_str(&format!(" L{},100 Z", values.len()));
    html! {
        @if most > 0.0 {
            div.row.chart data-chart=(key) {
                span.label { (name) small { "up to " data value=(most) { (label(most)) } } }
                div.track {
                    svg viewBox=(format!("0 0 {} 100", values.len())) preserveAspectRatio="none" aria-hidden="true" { path d=(path) {} }
                }
                span.length {}
            }
        }
    }
}

fn row(stage: &Stage, run: &Run) -> Markup {
    let wall = run.wall;
    let workloads: Vec<&Step> =
        stage.steps.iter().filter(|step| matches!(step.kind, StepKind::Workload | StepKind::AroundWorkload)).collect();
    let lanes = workloads.iter().map(|step| step.lane + 1).max().unwrap_or(0);
    let height = if lanes > 0 { BAR + 3 + lanes * LANE } else { BAR };
    html! {
        div class=(format!("row {}", super::tone(stage.state))) data-stage=(stage.name) {
            a.label href=(format!("#stage-{}", stage.name)) title=(stage.name) { (stage.name) }
            div.track style=(format!("height:{height}px")) {
                @match stage.start {
                    Some(start) => {
                        div.stage style=(place(start, stage.duration, wall)) title=(title(&stage.name, start, stage.duration)) {}
                        @for step in stage.steps.iter().filter(|step| step.kind == StepKind::Step) {
                            i.step style=(place(step.start, step.length(wall), wall)) title=(step_title(step, wall)) {}
                        }
                        @for step in workloads {
                            i class=(if step.kind == StepKind::Workload { "work" } else { "around" })
                                style=(format!("{};top:{}px", place(step.start, step.length(wall), wall), BAR + 3 + step.lane * LANE))
                                title=(step_title(step, wall)) {}
                        }
                    }
                    None => span.absent { (absent(stage, run.running)) },
                }
            }
            span.length { @if stage.start.is_some() { (super::seconds(stage.duration)) } }
        }
    }
}

fn place(start: f64, length: f64, wall: f64) -> String {
    format!("left:{:.3}%;width:{:.3}%", start / wall * 100.0, (length / wall * 100.0).min(100.0))
}

fn title(name: &str, start: f64, length: f64) -> String {
    format!("{name}: {} from {} on", text::duration(length), text::duration(start))
}

fn step_title(step: &Step, wall: f64) -> String {
    let used = format!("CPU {}, largest process {}", text::duration(step.cpu()), text::size(step.peak_memory));
    format!("{}\n{used}", title(&step.name, step.start, step.length(wall)))
}

/// Why there is no bar.
fn absent(stage: &Stage, running: bool) -> String {
    match (stage.state, &stage.why, &stage.made) {
        (StageState::UpToDate, _, Some(made)) => format!("up to date, {} saved", text::duration(made.duration)),
        (StageState::Blocked, Some(by), _) => format!("blocked by {by}"),
        (StageState::Skipped, Some(reason), _) => format!("skipped: {reason}"),
        (state, ..) => state.words(running).into(),
    }
}
