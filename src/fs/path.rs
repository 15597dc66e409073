//! Paths without symbolic links, also of what is not there yet. Unaware of what is at a path.

use camino::{Utf8Path, Utf8PathBuf};

/// How many links are followed that lead to nothing: as many as the kernel follows.
const LINKS: usize = 40;

/// What a path is without symbolic links. The part of it that does not exist yet stays as it is, behind the part that does.
///
/// A path that cannot be looked at is returned as it is: whoever uses it gets the error.
pub fn real(path: &Utf8Path) -> Utf8PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(real) = path.canonicalize_utf8() {
            return real;
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path };
        match path.read_link_utf8() {
            // A link to nothing: what is made through it is made where it leads to.
            Ok(target) => path = parent.join(target),
            Err(_) if parent.as_str().is_empty() => return path,
            Err(_) => return real(parent).join(name),
        }
    }
    path
}
