//! Names of the things of a run, as types: none of them can be taken for another one.
//!
//! Unaware of which names are allowed.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
                self.0.fmt(to)
            }
        }
        impl From<String> for $name {
            fn from(name: String) -> $name {
                $name(name)
            }
        }
        impl From<&str> for $name {
            fn from(name: &str) -> $name {
                $name(name.into())
            }
        }
        impl From<&String> for $name {
            fn from(name: &String) -> $name {
                $name(name.clone())
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }
        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                self.0 == *other
            }
        }
    )* };
}

names! {
    /// A stage of a pipeline.
    StageName
    /// A step of a stage. It is unique in the stage, or in what is done for each workload.
    StepName
    /// A workload of a pool.
    WorkloadName
    /// A run: its directory below `runs/`.
    RunId
    /// What a fingerprint is called on disk and in events: the hash of all its parts.
    FingerprintId
}

/// A step of a stage: a step of its own, a workload's command, or what is done around a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct StepId {
    /// None for the command of a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// None for a step of the whole stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadName>,
}

impl StepId {
    /// A step of the whole stage.
    pub fn step(name: &str) -> StepId {
        StepId { step: Some(name.into()), workload: None }
    }

    /// The command of a workload.
    pub fn workload(name: &str) -> StepId {
        StepId { step: None, workload: Some(name.into()) }
    }

    /// A step before or after the command of a workload.
    pub fn around(workload: &str, step: &str) -> StepId {
        StepId { step: Some(step.into()), workload: Some(workload.into()) }
    }
}

/// For people and for names of logs. Two steps may look alike: a workload `a-b`, and the step `b` of the workload `a`.
impl fmt::Display for StepId {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let names = self.workload.as_deref().into_iter().chain(self.step.as_deref());
        for (index, name) in names.enumerate() {
            write!(to, "{}{name}", if index == 0 { "" } else { "-" })?;
        }
        Ok(())
    }
}
