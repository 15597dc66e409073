//! Stages and workloads over time, below what they used.
//!
//! Bars are placed in percent of the run's length, so that it fits any screen.

use maud::{Markup, html};

use super::parts;
use crate::event::StageState;
use crate::report::model::{Report, Run, Stage, Step, StepKind};
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

pub(super) fn section(report: &Report) -> Option<Markup> {
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
        div class=(format!("row {}", parts::tone(stage.state))) data-stage=(stage.name) {
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
            span.length { @if stage.start.is_some() { (parts::seconds(stage.duration)) } }
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
