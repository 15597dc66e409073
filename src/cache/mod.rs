//! A cache: a place where several machines keep records of stages and what the stages made. Here is what such a place can do, as a trait;
//! the files beside this one say what is kept there and what of it is believed.
//!
//! | file | what it does |
//! |---|---|
//! | `directory` | the store that is a directory |
//! | `share`, `key`, `platform` | which stages are shared, and under which name |
//! | `entry`, `sign` | a record as it lies in a cache, and who vouches for it |
//! | `objects`, `unpack` | the files of outputs: on their way there, and back, where every byte is checked |
//! | `config`, `opening` | which caches there are |
//! | `one`, `give`, `caches` | one cache, what it is given, and what a run asks of all of them |
//! | `upkeep`, `carry` | checking and emptying a cache; one file in its place |
//!
//! Unaware of runs, and of who asks.

pub mod caches;
pub mod carry;
pub mod config;
pub mod directory;
pub mod entry;
pub mod give;
pub mod key;
pub mod objects;
pub mod one;
pub mod opening;
pub mod platform;
pub mod share;
pub mod sign;
pub mod unpack;
pub mod upkeep;

use std::io::{self, Read};
use std::ops::Range;

use camino::Utf8Path;
use jiff::Timestamp;

/// A place that holds named objects. Several processes and machines use one at a time.
///
/// An object is there as a whole or not at all. A name is made of words that [`is_name`] allows.
pub trait Store: Send + Sync {
    /// The bytes of an object, or of a part of it. None: there is no such object.
    ///
    /// # Errors
    /// The store cannot be reached, or refuses.
    fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Box<dyn Read + Send>>, StoreError>;

    /// The size of an object. None: there is none.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn head(&self, name: &str) -> Result<Option<u64>, StoreError>;

    /// Puts an object there.
    ///
    /// # Errors
    /// As [`Store::get`], or what is put there cannot be read.
    fn put(&self, name: &str, body: Body<'_>, when: When) -> Result<Put, StoreError>;

    /// The objects whose names begin with a directory, which ends in `/`, sorted by name.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn list(&self, directory: &str) -> Result<Vec<Meta>, StoreError>;

    /// Takes objects away. That there is none is fine.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn delete(&self, names: &[String]) -> Result<(), StoreError>;

    /// Takes away what writers left half written before this moment. Returns how many.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn sweep(&self, before: Timestamp) -> Result<usize, StoreError>;

    /// What it is able to do.
    fn can(&self) -> Can;

    /// Where it is, for people. Without credentials.
    fn place(&self) -> String;
}

/// What is put into a store.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    Bytes(&'a [u8]),
    File(&'a Utf8Path),
}

/// Whether an object that is there is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    Absent,
}

/// What became of an object that was to be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Written,
    /// With [`When::Absent`]: there was one already, and it stays.
    Exists,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub name: String,
    pub size: u64,
    pub written: Timestamp,
}

/// What a store is able to do. Nothing that has to be right depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Can {
    /// Of several writers of one name with [`When::Absent`], one wins and the others are told.
    pub absent: bool,
    pub list: bool,
    pub delete: bool,
    /// Files of at least so many bytes are objects of their own.
    pub own_object: u64,
    /// Smaller ones are put together up to so many bytes.
    pub pack: u64,
}

/// Something that a store refused, or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{name}` in the cache {place}: {cause}")]
pub struct StoreError {
    pub action: &'static str,
    pub name: String,
    pub place: String,
    /// Shown by the error itself, and so not its `source`.
    pub cause: io::Error,
}

impl StoreError {
    /// It is a question of rights: another try changes nothing, and reading may go on.
    pub fn is_refusal(&self) -> bool {
        matches!(self.cause.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
    }
}

/// Whether an object can have this name: words of letters, digits, `.`, `_`, `-`, with `/` between them, none of which begins with a dot.
pub fn is_name(name: &str) -> bool {
    let fine = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.len() <= 512 && name.split('/').all(fine)
}

/// The bytes of an object, if there are no more than `most` of them. None: there is no such object.
///
/// # Errors
/// The store cannot be reached, refuses, or the object is larger.
pub fn read_whole(store: &dyn Store, name: &str, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(body) = store.get(name, None)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = body.take(most.saturating_add(1)).read_to_end(&mut bytes);
    let cause = match read {
        Ok(_) if bytes.len() as u64 <= most => return Ok(Some(bytes)),
        Ok(_) => io::Error::new(io::ErrorKind::InvalidData, "it is larger than such an object can be"),
        Err(error) => error,
    };
    Err(StoreError { action: "read", name: name.into(), place: store.place(), cause })
}
