//! The files that a comparison of a stage leaves. Unaware of what is in them.

use camino::Utf8Path;

pub use crate::plan::ops::{JSON, MARKDOWN, TABLE};

/// Whether a file is one of them, by its name. How large they are says nothing: each holds what was measured that time.
pub fn is_result(path: &Utf8Path) -> bool {
    path.file_name().is_some_and(|name| [JSON, MARKDOWN, TABLE].contains(&name))
}
