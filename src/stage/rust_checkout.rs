//! That there is no checkout of rust-lang/rust where a stage names one: said once, and in the same words by all kinds that read it.

use camino::Utf8Path;

use super::Context;

/// Whether there is none, which is a gap of the plan then.
pub(super) fn is_missing(path: &Utf8Path, cx: &mut Context) -> bool {
    let missing = !cx.facts.exists(&path.join("x.py"));
    if missing {
        let remedy = "get one (`git clone https://github.com/rust-lang/rust`), or set `checkout` to where it is";
        cx.gap(format!("{path} is no checkout of rust: it has no x.py"), remedy);
    }
    missing
}
