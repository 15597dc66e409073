//! That there is no checkout of rust-lang/rust where a stage names one: said once, and in the same words by all kinds that read it.

use camino::Utf8Path;

use super::Context;
use crate::pipeline::Stage;

/// Whether there is none, which is a gap of the plan then. `by` is the stage that names it.
pub(super) fn is_missing(path: &Utf8Path, by: &Stage, cx: &mut Context) -> bool {
    let missing = !cx.facts.exists(&path.join("x.py"));
    if missing {
        let named = by.how_to_set("checkout", "DIR");
        let remedy = format!("`git clone https://github.com/rust-lang/rust`, and name it with {named}");
        cx.gap(format!("{path} is no checkout of rust: it has no x.py"), remedy);
    }
    missing
}
