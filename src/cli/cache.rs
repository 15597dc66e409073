//! `optbuild cache`: what caches have, filling and emptying them, and the keys that records are signed with.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use jiff::SignedDuration;

use super::args::cache::{
    CacheCommand, CacheExportArgs, CacheGcArgs, CacheImportArgs, CacheStagesArgs, CacheVerifyArgs, KeyCommand,
};
use super::exit::{FAILED, usage};
use super::output::{print, tell};
use super::project::{self, Mode, Project, current_dir};
use crate::cache::caches::{Caches, NotFetched};
use crate::cache::config::{self, CacheArgs, Mode as CacheMode};
use crate::cache::directory::Directory;
use crate::cache::give::Pushed;
use crate::cache::one::Cache;
use crate::cache::opening::{Lazy, Request, carried};
use crate::cache::share::{self, Wanted};
use crate::cache::sign::SigningKey;
use crate::cache::{carry, upkeep};
use crate::facts::Facts;
use crate::names::StageName;
use crate::run::decide::{Judge, Verdict, survey};
use crate::run::select::{Request as Selected, select};
use crate::run::session;
use crate::state::record::Record;
use crate::state::store::State;
use crate::text;

/// `optbuild cache …`
pub fn cache(command: &CacheCommand) -> Result<u8> {
    match command {
        CacheCommand::Status(args) => status(args),
        CacheCommand::Push(args) => push(args),
        CacheCommand::Pull(args) => pull(args),
        CacheCommand::Export(args) => export(args),
        CacheCommand::Import(args) => import(args),
        CacheCommand::Verify(args) => verify(args),
        CacheCommand::Gc(args) => gc(args),
        CacheCommand::Key { key } => keys(key),
    }
}

/// The pipeline with its caches.
fn open(args: &CacheStagesArgs) -> Result<(Project, Arc<Caches>)> {
    let mut project = Project::last(&args.last)?;
    for stage in &args.stage {
        project.named(stage)?;
    }
    project.use_caches(&args.cache, &current_dir()?)?;
    let caches = project.caches.get(&project.facts)?.ok_or_else(none)?;
    Ok((project, caches))
}

fn none() -> anyhow::Error {
    usage!("there is no cache: `--cache DIR` names one, or `[cache.NAME]` in {} (docs/cache.md)", config::FILE)
}

/// The caches alone, for those who look after them.
fn caches_of(args: &CacheArgs) -> Result<Arc<Caches>> {
    let cwd = current_dir()?;
    let state = project::nearest_state(&cwd).map(|layout| layout.root().to_owned()).unwrap_or_default();
    let request = Request { args: args.clone(), pipeline: Some(cwd.clone()), cwd, state };
    Lazy::new(request).get(&Facts::live())?.ok_or_else(none)
}

/// A stage with a record, here or in a cache.
struct Found {
    record: Arc<Record>,
    wanted: std::result::Result<Wanted, share::Unshared>,
}

/// What is known of each stage that is asked for: a record, or why there is none.
fn look(project: &Project, stages: &[String]) -> Result<Vec<(StageName, std::result::Result<Found, String>)>> {
    let selection = select(&project.pipeline, &project.graph, &Selected::default())?;
    let survey = survey(&mut Judge::new(project, &selection))?;
    project.save_caches();
    let mut found = Vec::new();
    for (name, verdict) in survey.stages {
        if !stages.is_empty() && !stages.iter().any(|stage| *stage == *name) {
            continue;
        }
        let Some(stage) = project.pipeline.stage(&name) else { continue };
        let known = match verdict {
            Verdict::UpToDate(record, plan) => {
                let root = project.layout.root();
                let wanted = share::wanted(stage, &plan, &record.fingerprint, &project.pipeline, root);
                Ok(Found { record, wanted })
            }
            Verdict::Run(work) if !work.misses.is_empty() => Err(work.misses.join("; ")),
            other => Err(other.words()),
        };
        found.push((name, known));
    }
    Ok(found)
}

/// `optbuild cache status`
fn status(args: &CacheStagesArgs) -> Result<u8> {
    // Without a pipeline, caches alone.
    let known = open(args);
    let (project, caches) = match known {
        Ok((project, caches)) => (Some(project), caches),
        Err(_) if args.last.pipeline.is_none() && args.stage.is_empty() => (None, caches_of(&args.cache)?),
        Err(error) => return Err(error),
    };
    let mut lines = String::new();
    for cache in &caches.caches {
        lines.push_str(&about(cache));
    }
    let mut hits = 0;
    if let Some(project) = &project {
        let found = look(project, &args.stage)?;
        let column = found.iter().map(|(name, _)| text::width(name)).max().unwrap_or(0);
        lines.push('\n');
        for (name, found) in &found {
            let state = match found {
                Ok(Found { wanted: Err(unshared), .. }) => format!("not shared: {unshared}"),
                Ok(Found { wanted: Ok(wanted), .. }) => match &caches.ask(wanted)?.hit {
                    Some(hit) => {
                        hits += 1;
                        let elsewhere = if hit.held.elsewhere { ", of another place: its hashes only" } else { "" };
                        format!("in the cache `{}`{elsewhere}", hit.held.cache)
                    }
                    None => caches.ask(wanted)?.misses.join("; "),
                },
                Err(why) => why.clone(),
            };
            lines.push_str(&format!("{}  {state}\n", text::pad(name, column)));
        }
        lines.push_str(&format!("\n{hits} of {} in a cache\n", text::plural(found.len(), "stage")));
    }
    print(&lines)?;
    caches.take_warnings().iter().for_each(|warning| tell(&format!("warning: {warning}")));
    Ok(0)
}

fn about(cache: &Cache) -> String {
    let settings = &cache.settings;
    let mut text = format!("{}: {}\n", cache.name(), cache.store.place());
    let mode = match settings.mode {
        CacheMode::Off => "off",
        CacheMode::Read => "read",
        CacheMode::ReadWrite => "read and written",
    };
    let scopes = settings.read_scopes.join(", ");
    text.push_str(&format!("  {mode}; scopes that are read: {scopes}; scope that is written: {}\n", settings.scope));
    let keys = text::plural(cache.trust.keys.len(), "key");
    let unsigned = if cache.trust.unsigned { ", and records that nobody has signed" } else { "" };
    let signs = match (cache.writes(), cache.signs()) {
        (false, _) => "",
        (true, true) => "; what is written is signed",
        (true, false) => "; what is written is not signed (`optbuild cache key new`)",
    };
    text.push_str(&format!("  believed: records that {keys} signed{unsigned}{signs}\n"));
    match &cache.platform {
        Ok(platform) => {
            let parts: Vec<String> = platform.iter().map(|(name, value)| format!("{name} {value}")).collect();
            text.push_str(&format!("  platform: {}\n", parts.join(", ")));
        }
        Err(why) => text.push_str(&format!("  not used: {why}\n")),
    }
    match upkeep::contents(&*cache.store) {
        Ok(contents) => text.push_str(&format!(
            "  {}, {}, {}\n",
            text::plural(contents.records, "record"),
            text::plural(contents.objects, "object"),
            text::size(contents.bytes)
        )),
        Err(error) => text.push_str(&format!("  cannot be reached: {error:#}\n")),
    }
    text
}

/// The state directory, which nobody else changes meanwhile.
fn locked(project: &Project, command: &str) -> Result<(Arc<State>, session::Locked)> {
    let root = project.layout.root();
    let state = project.state.clone().with_context(|| format!("there is no state directory {root}"))?;
    let lock = session::lock(&state, format!("optbuild cache {command}"))?;
    Ok((state, lock))
}

/// `optbuild cache push`
fn push(args: &CacheStagesArgs) -> Result<u8> {
    let (project, caches) = open(args)?;
    if caches.writing().next().is_none() {
        return Err(usage!(
            "no cache is written to: `--cache-mode read-write`, or `mode = \"read-write\"` in {}",
            config::FILE
        ));
    }
    let (state, _lock) = locked(&project, "push")?;
    let mut failed = false;
    for (name, found) in look(&project, &args.stage)? {
        match found {
            Ok(Found { record, .. }) if record.held.is_some() => tell(&format!("{name}: it is there already")),
            Ok(Found { wanted: Err(unshared), .. }) => tell(&format!("{name}: not shared: {unshared}")),
            Ok(Found { record, wanted: Ok(wanted) }) => failed |= !give(&caches, &wanted, &record, &state),
            Err(why) => tell(&format!("{name}: not sent: {why}")),
        }
    }
    caches.take_warnings().iter().for_each(|warning| tell(&format!("warning: {warning}")));
    Ok(if failed { FAILED } else { 0 })
}

/// Sends a stage, and says what became of it. Whether nothing went wrong.
fn give(caches: &Caches, wanted: &Wanted, record: &Record, state: &State) -> bool {
    let name = &record.stage;
    let mut fine = true;
    let all = caches.push(wanted, record, state, &|| false);
    if all.is_empty() {
        tell(&format!("{name}: not shared: its fingerprint holds a secret, and the cache has no `salt`"));
    }
    for (cache, pushed) in all {
        match pushed {
            Ok(Pushed::Written(moved)) => tell(&format!(
                "{name}: {} sent to `{cache}` as {} in {}",
                text::size(moved.content),
                text::size(moved.bytes),
                text::plural(moved.objects, "object")
            )),
            Ok(Pushed::Exists { same: true }) => tell(&format!("{name}: `{cache}` has it already")),
            Ok(Pushed::Exists { same: false }) => {
                tell(&format!("{name}: `{cache}` has it with other bytes, which were built elsewhere; they stay"));
            }
            Err(error) => {
                fine = false;
                tell(&format!("{name}: not sent to `{cache}`: {error:#}"));
            }
        }
    }
    fine
}

/// `optbuild cache pull`
fn pull(args: &CacheStagesArgs) -> Result<u8> {
    let (project, caches) = open(args)?;
    let (state, _lock) = locked(&project, "pull")?;
    let mut failed = false;
    for (name, found) in look(&project, &args.stage)? {
        match found {
            Ok(Found { record, .. }) if record.held.is_none() => tell(&format!("{name}: it is here")),
            Ok(Found { record, .. }) => failed |= !take(&caches, &record, &state)?,
            Err(why) => {
                failed |= !args.stage.is_empty();
                tell(&format!("{name}: {why}"));
            }
        }
    }
    caches.take_warnings().iter().for_each(|warning| tell(&format!("warning: {warning}")));
    Ok(if failed { FAILED } else { 0 })
}

/// Fetches the outputs of a stage, and says what became of that. Whether they are here.
fn take(caches: &Caches, record: &Record, state: &State) -> Result<bool> {
    let name = &record.stage;
    match caches.fetch(state, record, &|| false) {
        Ok((record, moved)) => {
            state.point_to(name, &record.fingerprint.id())?;
            let (content, bytes) = (text::size(moved.content), text::size(moved.bytes));
            tell(&format!("{name}: {content} fetched as {bytes} in {}", text::plural(moved.objects, "object")));
            Ok(true)
        }
        Err(NotFetched::Gone(why)) => {
            tell(&format!("{name}: {why}"));
            Ok(false)
        }
        Err(NotFetched::Required(required)) => Err(required.into()),
        Err(NotFetched::Machine(error)) => Err(error),
    }
}

/// `optbuild cache export`
fn export(args: &CacheExportArgs) -> Result<u8> {
    let mut project = Project::last(&args.stages.last)?;
    for stage in &args.stages.stage {
        project.named(stage)?;
    }
    project.use_caches(&args.stages.cache, &current_dir()?)?;
    let (state, _lock) = locked(&project, "export")?;
    let root = project.layout.root();
    let aside = tempfile::Builder::new().prefix(".tmp-export-").tempdir_in(root);
    let aside = aside.with_context(|| format!("cannot write to {root}"))?;
    let place = Utf8Path::from_path(aside.path()).context("the state directory is not UTF-8")?.to_owned();
    let settings = crate::cache::config::Settings { mode: CacheMode::ReadWrite, ..carried(place.clone()) };
    let request = Request { cwd: current_dir()?, ..Request::default() };
    let signer = request.sources(config::signing_key)?;
    let file = Caches::new(vec![Cache::new(settings, signer.map(Arc::new), &project.facts)], false);
    let mut failed = false;
    for (name, found) in look(&project, &args.stages.stage)? {
        match found {
            Ok(Found { wanted: Err(unshared), .. }) => {
                failed |= !args.stages.stage.is_empty();
                tell(&format!("{name}: not shared: {unshared}"));
            }
            Ok(Found { record, wanted: Ok(wanted) }) => {
                let fetched = match &record.held {
                    None => None,
                    Some(_) => {
                        match project.caches.get(&project.facts)?.map(|caches| caches.fetch(&state, &record, &|| false))
                        {
                            Some(Ok((record, _))) => Some(record),
                            _ => {
                                failed = true;
                                tell(&format!("{name}: its outputs are not here"));
                                continue;
                            }
                        }
                    }
                };
                failed |= !give(&file, &wanted, fetched.as_ref().unwrap_or(&record), &state);
            }
            Err(why) => {
                failed |= !args.stages.stage.is_empty();
                tell(&format!("{name}: {why}"));
            }
        }
    }
    let (objects, bytes) = carry::pack(&Directory::new(place), &current_dir()?.join(&args.output))?;
    tell(&format!("{}: {}, {}", args.output, text::plural(objects, "object"), text::size(bytes)));
    Ok(if failed { FAILED } else { 0 })
}

/// `optbuild cache import`
fn import(args: &CacheImportArgs) -> Result<u8> {
    let cwd = current_dir()?;
    let layout = match (&args.pipeline, &args.state_dir) {
        (Some(pipeline), state_dir) => project::state_of(pipeline, state_dir.as_deref(), &cwd),
        (None, Some(dir)) => crate::state::layout::Layout::at(&cwd.join(dir)),
        (None, None) => project::existing_state(None)?,
    };
    let state = project::open_state(&layout, Mode::Create)?
        .with_context(|| format!("there is no state directory {}", layout.root()))?;
    let _lock = session::lock(&state, "optbuild cache import".into())?;
    let file = cwd.join(&args.file);
    if !file.is_file() {
        return Err(usage!("there is no file {file}"));
    }
    let store = Directory::new(layout.imported());
    let (objects, bytes) = carry::unpack(&file, &store, layout.root())?;
    tell(&format!("{} and {} are new in {}", text::plural(objects, "object"), text::size(bytes), layout.imported()));
    Ok(0)
}

/// `optbuild cache verify`
fn verify(args: &CacheVerifyArgs) -> Result<u8> {
    let caches = caches_of(&args.cache)?;
    let mut wrong = 0;
    for cache in &caches.caches {
        let verified = upkeep::verify(cache, args.sample.value())?;
        for (name, what) in &verified.wrong {
            tell(&format!("{}: {name}: {what}", cache.name()));
        }
        wrong += verified.wrong.len();
        let (records, read) = (text::plural(verified.records, "record"), text::plural(verified.read, "object"));
        print(&format!(
            "{}: {records}; {read} read, {}; {} wrong\n",
            cache.name(),
            text::size(verified.bytes),
            verified.wrong.len()
        ))?;
        if args.repair {
            if !cache.writes() {
                return Err(usage!("cache `{}` is only read: `--cache-mode read-write` repairs it", cache.name()));
            }
            cache.store.delete(&verified.wrong.into_keys().collect::<Vec<_>>())?;
        }
    }
    Ok(if wrong > 0 && !args.repair { FAILED } else { 0 })
}

/// `optbuild cache gc`
fn gc(args: &CacheGcArgs) -> Result<u8> {
    let caches = caches_of(&args.cache)?;
    if caches.writing().next().is_none() {
        return Err(usage!("no cache is written to: `--cache-mode read-write` allows to remove from it"));
    }
    let keep = SignedDuration::try_from(args.keep).map_err(|error| usage!("`--keep`: {error}"))?;
    for cache in caches.writing() {
        let collected = upkeep::collect(cache, keep, args.max_size.map(|size| size.as_u64()), args.dry_run)?;
        let (records, objects) = (text::plural(collected.records, "record"), text::plural(collected.objects, "object"));
        let removed = if args.dry_run { "would be removed" } else { "removed" };
        let (bytes, left) = (text::size(collected.bytes), text::size(collected.left));
        tell(&format!("{}: {records} and {objects} {removed}; {bytes} freed, {left} in use", cache.name()));
    }
    Ok(0)
}

/// `optbuild cache key`
fn keys(command: &KeyCommand) -> Result<u8> {
    let cwd = current_dir()?;
    let request = Request { cwd: cwd.clone(), ..Request::default() };
    let key = match command {
        KeyCommand::Show => request.sources(config::signing_key)?.ok_or_else(|| {
            usage!("there is no key: `optbuild cache key new` makes one, {} names one", config::SIGNING_KEY)
        })?,
        KeyCommand::New { output } => {
            let own = || config::user_directory(&|name| std::env::var(name).ok()).map(|dir| dir.join(config::KEY_FILE));
            let file = output.as_ref().map(|file| cwd.join(file)).or_else(own);
            let file = file
                .ok_or_else(|| usage!("neither HOME nor XDG_CONFIG_HOME is set; `-o FILE` says where the key goes"))?;
            let key = SigningKey::generate()?;
            let parent = file.parent().unwrap_or(&cwd);
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {parent}"))?;
            let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
            let mut written =
                created.with_context(|| format!("cannot make {file}; a key that is there is not replaced"))?;
            written.write_all(key.text()?.as_bytes()).with_context(|| format!("cannot write {file}"))?;
            tell(&format!(
                "the secret part is in {file}; who has it is believed. The public part, for `trusted-keys`:"
            ));
            key
        }
    };
    print(&format!("{}\n", key.public().text()))?;
    Ok(0)
}
