//! The command line of `optbuild cache`.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::LastRunArgs;
use crate::cache::config::CacheArgs;
use crate::text::share::Share;

/// What is done with caches.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show the caches, and which stages they have
    Status(CacheStagesArgs),
    /// Give stages that are up to date to the caches that are written to
    Push(CacheStagesArgs),
    /// Get the outputs of stages that a cache has
    Pull(CacheStagesArgs),
    /// Write stages that are up to date to one file, for `import` elsewhere
    Export(CacheExportArgs),
    /// Take the stages of a file: the next run finds them
    Import(CacheImportArgs),
    /// Look whether caches are whole: records, their signatures, their objects
    Verify(CacheVerifyArgs),
    /// Remove from a cache what was not used for a time, and what belongs to nothing
    Gc(CacheGcArgs),
    /// The keys that records are signed with
    Key {
        #[command(subcommand)]
        key: KeyCommand,
    },
}

#[derive(Debug, Clone, Args)]
pub struct CacheStagesArgs {
    /// Stages [default: all]
    pub stage: Vec<String>,
    #[command(flatten)]
    pub last: LastRunArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

#[derive(Debug, Clone, Args)]
pub struct CacheExportArgs {
    #[command(flatten)]
    pub stages: CacheStagesArgs,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: Utf8PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct CacheImportArgs {
    /// A file of `optbuild cache export`
    pub file: Utf8PathBuf,
    /// The pipeline whose state directory takes it [default: that of the last run]
    #[arg(short, long, value_name = "NAME|FILE")]
    pub pipeline: Option<String>,
    /// The state directory [default: .optbuild beside the pipeline]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct CacheVerifyArgs {
    /// The share of the objects that are read
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    pub sample: Share,
    /// Remove what is wrong: who needs it builds it
    #[arg(long)]
    pub repair: bool,
    #[command(flatten)]
    pub cache: CacheArgs,
}

#[derive(Debug, Clone, Args)]
pub struct CacheGcArgs {
    /// Keep what was written or used within this time, as `30d`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "30d")]
    pub keep: Duration,
    /// Then remove the least used until no more than this is there, as `500 GiB`
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<bytesize::ByteSize>,
    /// Remove nothing: say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, keep its secret part, print the other one for `trusted-keys`
    New {
        /// Where the secret part is kept [default: cache.key in your own settings, ~/.config/optbuild]
        #[arg(short, long, value_name = "FILE")]
        output: Option<Utf8PathBuf>,
    },
    /// Print the public part of the key that this user signs with
    Show,
}
