//! Finds the files that make a tool fail, in halves of halves. Unaware of the tool.

use anyhow::Result;

/// Those that are refused alone, each with the reason. All together have been refused already.
///
/// # Errors
/// Those of `refusal`.
pub fn bad<T: Clone, R>(files: &[T], mut refusal: impl FnMut(&[T]) -> Result<Option<R>>) -> Result<Vec<(T, R)>> {
    let mut bad = Vec::new();
    let (first, second) = files.split_at(files.len() / 2);
    let mut rest = vec![second, first];
    while let Some(files) = rest.pop() {
        if files.is_empty() {
            continue;
        }
        let Some(reason) = refusal(files)? else { continue };
        if let [file] = files {
            bad.push((file.clone(), reason));
            continue;
        }
        let (first, second) = files.split_at(files.len() / 2);
        rest.extend([second, first]);
    }
    Ok(bad)
}
