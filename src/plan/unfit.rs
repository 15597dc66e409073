//! Names that the state directory must not have for a stage, because a tool of the stage takes them for something else.
//!
//! A kind says what its tools cannot stand. Where the state directory is, a kind does not know: a project adds the gaps, so that they are
//! said before anything runs. Unaware of tools.

use camino::Utf8Path;

use super::{Gap, StagePlan};

/// A text that the path of the state directory must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub text: &'static str,
    /// What goes wrong, as a sentence that goes on after the text: `CMake takes it for the end of an item`.
    pub because: &'static str,
}

impl StagePlan {
    /// Adds a gap if the state directory is one in which the stage cannot be built.
    pub fn check_place(&mut self, state: &Utf8Path) {
        let Some(unfit) = self.unfit.iter().find(|unfit| state.as_str().contains(unfit.text)) else { return };
        let text = if unfit.text == "\n" { "line break" } else { unfit.text };
        self.gaps.push(Gap {
            what: format!("the path of the state directory, {state}, has a `{text}` in it, and {}", unfit.because),
            remedy: "put the state elsewhere with `--state-dir`".into(),
        });
    }
}
