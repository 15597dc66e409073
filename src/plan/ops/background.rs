//! The operation that drives a server, and a server on a command line.
//!
//! Commands stand there as `KIND COUNT WORD…`; unaware of what they do.

use std::slice::Iter;

use camino::Utf8PathBuf;

use super::{One, Values, Words, operations, optbuild};
use crate::plan::Arg;

operations! {
    /// Runs a command while another one runs in the background: starts that, waits until it is ready, and ends it in order.
    "drive" Drive, in a script optbuild {
        /// Where the program in the background prints to.
        log: One<Utf8PathBuf> = "--log",
        /// The commands, each as `KIND COUNT WORD…`, with a `patience` in seconds: `server`, `ready`, `stop`, and `run`.
        commands: Words = "--",
    }

    /// Waits until a file is there: a person runs a command meanwhile.
    "wait-for" WaitFor, in a script optbuild {
        /// The file.
        file: One<Utf8PathBuf> = "--file",
        /// The command.
        command: Words = "--",
    }
}

/// A server on a command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Served<V: Values> {
    pub server: Vec<V::Of<String>>,
    pub ready: Vec<V::Of<String>>,
    /// Empty: it gets SIGTERM.
    pub stop: Vec<V::Of<String>>,
    /// In seconds.
    pub patience: V::Of<f64>,
}

impl<V: Values> Served<V> {
    /// The words that say it.
    pub fn write(&self) -> Vec<Arg> {
        let mut to: Vec<Arg> = vec!["patience".into(), V::write(&self.patience)];
        to.extend(counted::<V>("server", &self.server));
        to.extend(counted::<V>("ready", &self.ready));
        if !self.stop.is_empty() {
            to.extend(counted::<V>("stop", &self.stop));
        }
        to
    }

    /// Reads what stands behind the first word. None: the word is none of these.
    ///
    /// # Errors
    /// A sentence that says which word is wrong.
    pub fn read(
        served: &mut Option<Served<V>>,
        word: &str,
        value: &str,
        words: &mut Iter<String>,
    ) -> Result<Option<()>, String> {
        if !["patience", "server", "ready", "stop"].contains(&word) {
            return Ok(None);
        }
        if served.is_none() {
            let (server, ready, stop) = (Vec::new(), Vec::new(), Vec::new());
            *served = Some(Served { server, ready, stop, patience: V::read("0")? });
        }
        let Some(served) = served else { return Ok(None) };
        match word {
            "patience" => served.patience = V::read(value)?,
            "server" => served.server = words_of::<V>(value, words)?,
            "ready" => served.ready = words_of::<V>(value, words)?,
            _ => served.stop = words_of::<V>(value, words)?,
        }
        Ok(Some(()))
    }
}

/// What the command line of [`Drive`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Driven<V: Values> {
    pub served: Served<V>,
    pub run: Vec<V::Of<String>>,
}

impl<V: Values> Driven<V> {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that says what is missing or wrong.
    pub fn read(words: &[String]) -> Result<Driven<V>, String> {
        let (mut served, mut run, mut words) = (None, Vec::new(), words.iter());
        while let Some(word) = words.next() {
            let Some(value) = words.next() else { return Err(format!("`{word}` has no value")) };
            if word == "run" {
                run = words_of::<V>(value, &mut words)?;
            } else if Served::read(&mut served, word, value, &mut words)?.is_none() {
                return Err(format!("`{word}` is none of `patience`, `server`, `ready`, `stop`, `run`"));
            }
        }
        match served {
            Some(served) if !run.is_empty() && !served.server.is_empty() && !served.ready.is_empty() => {
                Ok(Driven { served, run })
            }
            _ => Err("`server`, `ready` and `run` are needed".into()),
        }
    }
}

/// A command with its kind and the number of its words.
pub fn counted<V: Values>(kind: &str, words: &[V::Of<String>]) -> Vec<Arg> {
    let mut to: Vec<Arg> = vec![kind.into(), words.len().to_string().into()];
    to.extend(words.iter().map(V::write));
    to
}

/// The words of a command, of which there are so many.
pub fn words_of<V: Values>(count: &str, words: &mut Iter<String>) -> Result<Vec<V::Of<String>>, String> {
    let count: usize = count.parse().map_err(|_| format!("`{count}` is no number of words"))?;
    let found: Vec<_> = words.by_ref().take(count).map(|word| V::read(word)).collect::<Result<_, _>>()?;
    if found.len() != count || count == 0 {
        return Err(format!("a command has {} of {count} words", found.len()));
    }
    Ok(found)
}
