//! What each stage took, and what it made.

use maud::{Markup, html};

use super::super::model::{Output, Report, Stage};
use super::parts;
use crate::text;

pub(super) fn section(report: &Report) -> Option<Markup> {
    if report.stages.is_empty() {
        return None;
    }
    let wall = report.run.wall;
    let before = report.stages.iter().any(|stage| stage.before.is_some());
    Some(parts::scrolled(&html! {
        table.stages {
            thead {
                tr { th { "stage" } th { "status" } th.num { "time" } th { "share" } @if before { th.num { "change" } } th.num { "CPU" } th.num { "largest process" } th.num { "outputs" } }
            }
            tbody {
                @for stage in &report.stages {
                    tr data-stage=(stage.name) {
                        td { a href=(format!("#stage-{}", stage.name)) { (stage.name) } }
                        td { (parts::state(stage.state, report.run.running)) }
                        @if stage.start.is_some() {
                            td.num.duration { (parts::seconds(stage.duration)) }
                            td.share { (parts::bar(stage.duration, wall)) (text::percent(stage.duration, wall)) }
                            @if before { td.num { @if let Some(before) = &stage.before { (parts::change(before.duration, stage.in_all())) } } }
                        } @else if let Some(made) = &stage.made {
                            td.num.dim.saved { (parts::seconds(made.duration)) }
                            td.dim { "saved" }
                            @if before { td {} }
                        } @else {
                            td colspan=(if before { 3 } else { 2 }) {}
                        }
                        td.num.cpu { @if stage.cpu() > 0.0 { (parts::seconds(stage.cpu())) } }
                        td.num.peak { @if stage.peak_memory > 0 { (parts::bytes(stage.peak_memory)) } }
                        td.num { @if !stage.outputs.is_empty() { (text::size(stage.shown_outputs().map(|output| output.bytes).sum())) } }
                    }
                }
            }
        }
    }))
}

pub(super) fn outputs(report: &Report) -> Option<Markup> {
    let with: Vec<&Stage> = report.stages.iter().filter(|stage| !stage.outputs.is_empty()).collect();
    if with.is_empty() {
        return None;
    }
    let earlier = with.iter().any(|stage| stage.outputs.iter().any(|output| !output.earlier.is_empty()));
    Some(parts::scrolled(&html! {
        table.outputs {
            thead { tr { th { "output" } th.num { "size" } @if earlier { th.num { "change" } th { "earlier runs" } } th.num { "files" } th { "path" } } }
            tbody {
                @for stage in with {
                    @for output in stage.shown_outputs() {
                        tr data-output=(format!("{}.{}", stage.name, output.name)) {
                            td { (stage.name) "." b { (output.name) } }
                            td.num { (parts::bytes(output.bytes)) }
                            @if earlier { (size_change(output)) }
                            td.num { (parts::count(output.files)) }
                            td { code { (output.path) } }
                        }
                    }
                }
            }
        }
    }))
}

/// How its size changed, and the sizes that it had.
fn size_change(output: &Output) -> Markup {
    let earlier = output.earlier.iter().map(|earlier| earlier.bytes as f64);
    let sizes: Vec<f64> = earlier.chain([output.bytes as f64]).collect();
    html! {
        td.num {
            @if let Some(before) = output.before() {
                (parts::change(before as f64, output.bytes as f64))
                @if before != output.bytes && text::percent_change(before as f64, output.bytes as f64) == "±0 %" {
                    " (" (text::size_change(before, output.bytes)) ")"
                }
            }
        }
        td { (parts::sparkline(&sizes)) }
    }
}
