//! optbuild's own operations: one struct for each, which writes its command line into a plan and reads it back in the process that does it.
//!
//! A declaration (see [`operations`]) names the arguments in the order in which they are written, each with its kind:
//!
//! | kind | as it is written | as the struct has it |
//! |---|---|---|
//! | `One<T>` | `--name VALUE`; without dashes in the name `VALUE` alone, behind all others | a value |
//! | `Maybe<T>` | the same, or nothing | an option |
//! | `Many<T, LEAST, VALUES>` | `--name VALUE --name VALUE`, with so many values each time | a list of all |
//! | `Flag` | `--name` | a boolean |
//! | `Known<T>` | as `One<T>` | what it is, in the plan too |
//! | `Limit<T>` | as `One<T>` | a value, which is in no fingerprint |
//! | `Words` | all that stands behind `--`; with the name `…` what no other argument takes | a list |
//!
//! In a plan a value is an [`Arg`], which may be known late. In the process it is what the declaration says. What a script does instead
//! stands beside the declaration; its lines may use the functions that `shell.rs` begins every script with. What operations do is in
//! `crate::op`.

mod background;
mod compare;
mod compilers;
mod files;
mod profiles;

use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use super::{Arg, Part, Symbol};

pub use background::{Driven, Served, counted, planned::*};
pub use compare::{ComparedWorkload, JSON, MARKDOWN, TABLE, planned::*};
pub use compilers::{CC, COMPILERS, CXX, NO_WARNINGS, WARNINGS, planned::*};
pub use files::planned::*;
pub use profiles::planned::*;

/// The operations as their processes have them.
pub mod given {
    pub use super::background::given::*;
    pub use super::compare::given::*;
    pub use super::compilers::given::*;
    pub use super::files::given::*;
    pub use super::profiles::given::*;
}

/// One of optbuild's operations as a step: `optbuild op NAME ARGUMENTS…`.
#[derive(Debug, Clone)]
pub struct Op {
    /// Begins with the operation's name.
    pub argv: Vec<Arg>,
    /// The same for `plan --shell`; none if there is no plain tool for it, and a script has to call optbuild.
    pub shell: Option<Vec<ShellLine>>,
}

impl Op {
    /// The whole command line.
    pub fn command_line(&self) -> Vec<Arg> {
        [Arg::from(Symbol::Optbuild), "op".into()].into_iter().chain(self.argv.iter().cloned()).collect()
    }
}

/// A line of bash: text taken as it is, and arguments that are quoted.
pub type ShellLine = Vec<ShellWord>;

/// A part of a [`ShellLine`].
#[derive(Debug, Clone)]
pub enum ShellWord {
    Raw(String),
    Arg(Arg),
}

impl<T: Into<String>> From<T> for ShellWord {
    fn from(text: T) -> ShellWord {
        ShellWord::Raw(text.into())
    }
}

impl From<&Arg> for ShellWord {
    fn from(arg: &Arg) -> ShellWord {
        ShellWord::Arg(arg.clone())
    }
}

/// A [`ShellLine`] of texts and references to arguments.
macro_rules! shell {
    ($($word:expr),+ $(,)?) => { vec![$($crate::plan::ops::ShellWord::from($word)),+] };
}
use shell;

/// A script does nothing in the place of this operation.
fn nothing<T>(_: &T) -> Option<Vec<ShellLine>> {
    Some(Vec::new())
}

/// A script calls optbuild.
fn optbuild<T>(_: &T) -> Option<Vec<ShellLine>> {
    None
}

/// What a value of an argument can be.
pub trait Value: Clone + Debug + PartialEq + Display + FromStr<Err: Display> {}

impl<T: Clone + Debug + PartialEq + Display + FromStr<Err: Display>> Value for T {}

/// Where values stand, and so what they are.
pub trait Values: Clone + Debug + PartialEq {
    type Of<T: Value>: Clone + Debug + PartialEq;

    fn write<T: Value>(value: &Self::Of<T>) -> Arg;

    /// # Errors
    /// A sentence that says how such a value is written.
    fn read<T: Value>(text: &str) -> Result<Self::Of<T>, String>;
}

/// Values in a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum PlannedValues {}

/// Values in the process of the operation.
#[derive(Debug, Clone, PartialEq)]
pub enum GivenValues {}

impl Values for PlannedValues {
    type Of<T: Value> = Arg;

    fn write<T: Value>(value: &Arg) -> Arg {
        value.clone()
    }

    fn read<T: Value>(text: &str) -> Result<Arg, String> {
        Ok(text.into())
    }
}

impl Values for GivenValues {
    type Of<T: Value> = T;

    fn write<T: Value>(value: &T) -> Arg {
        value.to_string().into()
    }

    fn read<T: Value>(text: &str) -> Result<T, String> {
        text.parse().map_err(|error| format!(": `{text}` is not as expected: {error}"))
    }
}

/// How often an argument is given, and with how many values.
pub trait Kind {
    /// Values of one occurrence.
    const VALUES: usize = 1;

    type Held<V: Values>: Clone + Debug + PartialEq;

    /// The values of each occurrence.
    fn write<V: Values>(held: &Self::Held<V>) -> Vec<Vec<Arg>>;

    /// # Errors
    /// A part of a sentence that says what is wrong with the values.
    fn read<V: Values>(given: &[Vec<String>]) -> Result<Self::Held<V>, String>;
}

pub struct One<T, const LIMIT: bool = false>(PhantomData<T>);
pub type Limit<T> = One<T, true>;
pub struct Known<T>(PhantomData<T>);
pub struct Maybe<T>(PhantomData<T>);
pub struct Many<T, const LEAST: usize = 0, const VALUES: usize = 1>(PhantomData<T>);
pub struct Flag;
pub type Words = Many<String, 0, { usize::MAX }>;

impl<T: Value, const LIMIT: bool> Kind for One<T, LIMIT> {
    type Held<V: Values> = V::Of<T>;

    fn write<V: Values>(held: &V::Of<T>) -> Vec<Vec<Arg>> {
        let arg = V::write(held);
        vec![vec![if LIMIT { Arg::part(Part::Limit(arg.to_string())) } else { arg }]]
    }

    fn read<V: Values>(given: &[Vec<String>]) -> Result<V::Of<T>, String> {
        match given {
            [] => Err(" is missing".into()),
            [values] => V::read(values.first().map_or("", String::as_str)),
            _ => Err(" is given more than once".into()),
        }
    }
}

impl<T: Value> Kind for Known<T> {
    type Held<V: Values> = T;

    fn write<V: Values>(held: &T) -> Vec<Vec<Arg>> {
        One::<T>::write::<GivenValues>(held)
    }

    fn read<V: Values>(given: &[Vec<String>]) -> Result<T, String> {
        One::<T>::read::<GivenValues>(given)
    }
}

impl<T: Value> Kind for Maybe<T> {
    type Held<V: Values> = Option<V::Of<T>>;

    fn write<V: Values>(held: &Option<V::Of<T>>) -> Vec<Vec<Arg>> {
        held.iter().map(|value| vec![V::write(value)]).collect()
    }

    fn read<V: Values>(given: &[Vec<String>]) -> Result<Option<V::Of<T>>, String> {
        if given.is_empty() { Ok(None) } else { One::<T>::read::<V>(given).map(Some) }
    }
}

impl<T: Value, const LEAST: usize, const VALUES: usize> Kind for Many<T, LEAST, VALUES> {
    const VALUES: usize = VALUES;

    type Held<V: Values> = Vec<V::Of<T>>;

    fn write<V: Values>(held: &Vec<V::Of<T>>) -> Vec<Vec<Arg>> {
        held.chunks(VALUES).map(|values| values.iter().map(V::write).collect()).collect()
    }

    fn read<V: Values>(given: &[Vec<String>]) -> Result<Vec<V::Of<T>>, String> {
        match given.len() < LEAST {
            true => Err(" is missing".into()),
            false => given.iter().flatten().map(|text| V::read(text)).collect(),
        }
    }
}

impl Kind for Flag {
    const VALUES: usize = 0;

    type Held<V: Values> = bool;

    fn write<V: Values>(held: &bool) -> Vec<Vec<Arg>> {
        Vec::from_iter(held.then(Vec::new))
    }

    fn read<V: Values>(given: &[Vec<String>]) -> Result<bool, String> {
        Ok(!given.is_empty())
    }
}

/// An argument as it is declared.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// With its dashes; without dashes one that is known by its place; `--` all behind it; `…` what no other one takes.
    pub name: &'static str,
    /// Values of one occurrence.
    pub values: usize,
    /// What it is where it is not given.
    pub default: Option<&'static str>,
    /// For `--help`.
    pub about: &'static str,
}

/// What all operations have.
pub trait Operation: Sized {
    const NAME: &'static str;
    /// For `--help`.
    const ABOUT: &'static str;
    /// In the order in which they are written.
    const ARGUMENTS: &'static [Argument];

    /// The command line, which begins with the name.
    fn write(&self) -> Vec<Arg>;

    /// Reads back what stands behind the name.
    ///
    /// # Errors
    /// The words are no command line of this operation.
    fn read(words: &[String]) -> Result<Self, BadCommandLine> {
        let wrong = |message| BadCommandLine { operation: Self::NAME.into(), message };
        Self::of(sorted(Self::ARGUMENTS, words).map_err(wrong)?)
    }

    /// By its arguments: for each of them the values of each time that it is given.
    ///
    /// # Errors
    /// The first argument that cannot be read from its values; the message begins with its name.
    fn of(given: Vec<Vec<Vec<String>>>) -> Result<Self, BadCommandLine>;
}

/// Words that are no command line of an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`optbuild op {operation}`: {message}; `--help` lists what it takes")]
pub struct BadCommandLine {
    pub operation: String,
    pub message: String,
}

/// Adds an argument to a command line.
fn add(name: &'static str, given: Vec<Vec<Arg>>, words: &mut Vec<Arg>) {
    for values in given {
        words.extend(name.starts_with("--").then(|| name.into()));
        words.extend(values);
    }
}

/// Sorts words by the arguments that they are of. For each of those: the values of each time that it is given.
fn sorted(arguments: &[Argument], words: &[String]) -> Result<Vec<Vec<Vec<String>>>, String> {
    let mut given = vec![Vec::new(); arguments.len()];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let is_option = word.starts_with("--");
        let by_name = arguments.iter().position(|argument| is_option && argument.name == word);
        let by_place = || arguments.iter().position(|argument| !is_option && !argument.name.starts_with(['-', '…']));
        let by_rest = || arguments.iter().position(|argument| argument.name == "…");
        let Some(index) = by_name.or_else(by_place).or_else(by_rest) else {
            return Err(format!("it takes no `{word}`"));
        };
        given[index].push(match (by_name, arguments[index].values) {
            (None, _) => vec![word.clone()],
            (Some(_), count) => {
                let values: Vec<String> = words.by_ref().take(count).cloned().collect();
                if values.len() < count && count != usize::MAX {
                    return Err(format!("`{word}` has no value"));
                }
                values
            }
        });
    }
    for (argument, given) in arguments.iter().zip(&mut given) {
        given.extend(argument.default.filter(|_| given.is_empty()).map(|default| vec![default.into()]));
    }
    Ok(given)
}

/// Declares operations: what one does, its name, its struct, what stands for it in a script, and its arguments.
macro_rules! operations {
    ($(
        $(#[doc = $about:literal])+
        $name:literal $Op:ident, in a script $shell:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $Kind:ty = $option:literal $(or $default:literal)?,)*
        }
    )*) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $Op<V: $crate::plan::ops::Values> {
                $($(#[doc = $doc])+ pub $field: <$Kind as $crate::plan::ops::Kind>::Held<V>,)*
            }

            impl<V: $crate::plan::ops::Values> $crate::plan::ops::Operation for $Op<V> {
                const NAME: &'static str = $name;
                const ABOUT: &'static str = concat!($($about),+);
                const ARGUMENTS: &'static [$crate::plan::ops::Argument] = &[$($crate::plan::ops::Argument {
                    name: $option,
                    values: <$Kind as $crate::plan::ops::Kind>::VALUES,
                    default: [$(Some($default),)? None][0],
                    about: concat!($($doc),+),
                }),*];

                fn write(&self) -> Vec<$crate::plan::Arg> {
                    let mut words = vec![$name.into()];
                    $($crate::plan::ops::add($option, <$Kind as $crate::plan::ops::Kind>::write::<V>(&self.$field), &mut words);)*
                    words
                }

                fn of(given: Vec<Vec<Vec<String>>>) -> Result<Self, $crate::plan::ops::BadCommandLine> {
                    let wrong = |message| $crate::plan::ops::BadCommandLine { operation: $name.into(), message };
                    let mut given = given.into_iter();
                    // Fields are read in the order in which they are declared.
                    Ok($Op { $($field: {
                        let given = given.next().unwrap_or_default();
                        let held = <$Kind as $crate::plan::ops::Kind>::read::<V>(&given);
                        held.map_err(|message| wrong(format!("`{}`{message}", $option)))?
                    },)* })
                }
            }

            impl From<planned::$Op> for $crate::plan::ops::Op {
                fn from(operation: planned::$Op) -> $crate::plan::ops::Op {
                    let argv = $crate::plan::ops::Operation::write(&operation);
                    $crate::plan::ops::Op { argv, shell: $shell(&operation) }
                }
            }
        )*

        /// As plans have them.
        pub mod planned {
            $(pub type $Op = super::$Op<$crate::plan::ops::PlannedValues>;)*
        }

        /// As their processes have them.
        pub mod given {
            $(pub type $Op = super::$Op<$crate::plan::ops::GivenValues>;)*
        }
    };
}
use operations;
