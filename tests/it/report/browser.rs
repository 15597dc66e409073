//! A browser without a window, and a look at the document that it made of a page.

use std::process::Command;

use crate::support::needs;
use camino::Utf8Path;

/// Chromium.
pub struct Browser(&'static str);

/// What became of a page.
pub struct Page {
    /// The document after all scripts ran, as HTML.
    pub dom: String,
    /// What was said on the console.
    pub console: Vec<String>,
}

impl Browser {
    pub fn find() -> Option<Browser> {
        needs::chromium().map(Browser)
    }

    /// Opens a file, and waits until it is loaded.
    pub fn open(&self, file: &Utf8Path, options: &[&str]) -> Page {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(self.0);
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        // There is no host of any name.
        command.args(["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--dump-dom"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).args(options);
        let output = command.arg(format!("file://{file}")).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{log}");
        let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
        Page { dom: String::from_utf8(output.stdout).unwrap(), console }
    }
}

/// An element.
#[derive(Debug, Clone)]
pub struct Element {
    pub attributes: String,
    /// What is in it, as HTML.
    pub content: String,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<String> {
        let (_, rest) = self.attributes.split_once(&format!(" {name}=\""))?;
        let value = rest.split_once('"')?.0;
        Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    }
}

/// The elements of a name, as the browser writes them: with every attribute in quotes, and every `<` in text escaped.
pub fn elements(html: &str, name: &str) -> Vec<Element> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let starts = html.match_indices(&open).map(|(at, _)| &html[at + open.len()..]);
    let whole = starts.filter(|rest| rest.starts_with([' ', '>'])).filter_map(|rest| {
        let (attributes, after) = rest.split_once('>')?;
        let mut depth = 1;
        let mut at = 0;
        while depth > 0 {
            let next_close = after[at..].find(&close)? + at;
            match after[at..next_close].find(&open) {
                Some(inner) => {
                    let inner = at + inner + open.len();
                    depth += usize::from(after[inner..].starts_with([' ', '>']));
                    at = inner;
                }
                None => {
                    depth -= 1;
                    at = next_close + close.len();
                }
            }
        }
        Some(Element { attributes: attributes.into(), content: after[..at - close.len()].into() })
    });
    whole.collect()
}
