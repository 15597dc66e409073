//! `optbuild profile export`: the merged profiles that are recorded, in a bundle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::origin;
use crate::cli::args::{LastRunArgs, ProfileExportArgs};
use crate::cli::exit::usage;
use crate::cli::output::{print, tell};
use crate::cli::project::{Project, current_dir};
use crate::fs::disk;
use crate::op::{self, ORIGIN};
use crate::pipeline::Stage;
use crate::profile::bundle::{self, Description, Entry, FORMAT, Manifest, Member};
use crate::state::record::{Record, RecordOutcome};
use crate::{text, toolchain};

/// The output of a gather stage.
const PROFILE: &str = "profile";

/// Packs the profiles of the records that the gather stages have.
pub(super) fn export(args: &ProfileExportArgs) -> Result<u8> {
    let output = current_dir()?.join(&args.output);
    let last = LastRunArgs { pipeline: args.pipeline.clone(), settings: args.settings.clone() };
    let project = Project::last(&last)?;
    let work = tempfile::tempdir().context("cannot make a temporary directory")?;
    let work = Utf8Path::from_path(work.path()).context("the temporary directory is not UTF-8")?;
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut files = Files::new();
    let mut without = Vec::new();
    for stage in project.pipeline.stages.iter().filter(|stage| stage.common.when) {
        let Some(role) = stage.role() else { continue };
        match recorded(&project, stage)? {
            Some(record) => {
                let entry = entry(&project, stage, role, &record, work, &mut files)?;
                entries.insert(role.to_string(), entry);
            }
            None => without.push(stage.common.name.as_str()),
        }
    }
    project.save_caches();
    if entries.is_empty() {
        let what = if without.is_empty() { "it has no gather stages" } else { "none of its gather stages has run" };
        let name = &project.pipeline.name;
        return Err(usage!("there are no profiles of pipeline `{name}` in {}: {what}", project.layout.root()));
    }
    if !without.is_empty() {
        tell(&format!("without the profiles of {}, which have not run", without.join(", ")));
    }
    let manifest = Manifest {
        format: FORMAT,
        optbuild: env!("CARGO_PKG_VERSION").into(),
        pipeline: project.pipeline.name.clone(),
        profiles: entries.into_values().collect(),
    };
    let bytes = pack(&output, &manifest, &files)?;
    print(&listing(&manifest, &output, bytes))?;
    Ok(0)
}

/// The record of a stage, if what it says is still there.
fn recorded(project: &Project, stage: &Stage) -> Result<Option<Record>> {
    let Some(state) = &project.state else { return Ok(None) };
    let record = state.current(&stage.common.name)?.filter(|record| record.outcome == RecordOutcome::Done);
    let Some(record) = record else { return Ok(None) };
    let name = &stage.common.name;
    let Some(output) = record.outputs.get(PROFILE) else { return Ok(None) };
    record.is_here()?;
    let path = state.layout().root().join(&output.path);
    let manifest = state.manifest(&output.hash)?;
    let times = state.times(&record.fingerprint.id())?;
    let change = match manifest {
        Some(manifest) => manifest.difference(times.get(PROFILE), &path, project.sources.hasher())?,
        None => Some("its manifest is gone".into()),
    };
    if let Some(change) = change {
        bail!("the profile of stage `{name}` cannot be packed: {change}; run it again with `--from {name}`")
    }
    Ok(Some(record))
}

/// What is to be packed under which name.
type Files = BTreeMap<String, Utf8PathBuf>;

fn entry(
    project: &Project,
    stage: &Stage,
    role: &str,
    record: &Record,
    work: &Utf8Path,
    files: &mut Files,
) -> Result<Entry> {
    let name = &stage.common.name;
    let output = record.outputs.get(PROFILE).with_context(|| format!("stage `{name}` has no output `{PROFILE}`"))?;
    let path = project.layout.root().join(&output.path);
    let file = File::open(&path).with_context(|| format!("cannot open the profile {path}"))?;
    let described = bundle::describe(file).with_context(|| format!("cannot read the profile {path}"))?;
    let Some(Description { kind, version, context_sensitive, bytes, blake3 }) = described else {
        if path.extension() == Some("yaml") {
            bail!(
                "stage `{name}` has its profile out of a bundle by `--allow-stale-profiles`; pack that of a build of one's own"
            );
        }
        bail!("{path}, the output of stage `{name}`, is no merged profile");
    };
    let extension = kind.merged_extension();
    let plain = Entry {
        role: role.into(),
        stage: name.clone(),
        file: format!("profiles/{role}.{extension}"),
        kind,
        version,
        context_sensitive,
        bytes,
        blake3,
        figures: op::figures(&record.facts),
        sources: Vec::new(),
        tools: BTreeMap::new(),
        instrumented: Vec::new(),
        rewritten: None,
        matchable: None,
    };
    // Out of another bundle: nobody here knows more of it than that one says.
    if let Some(dir) = path.parent()
        && let Some(of_bundle) = said(&dir.join(ORIGIN))?
    {
        let stage = if of_bundle.stage.is_empty() { plain.stage } else { of_bundle.stage };
        files.insert(plain.file.clone(), path);
        return Ok(Entry { role: plain.role, file: plain.file, stage, matchable: None, ..of_bundle });
    }
    let origin = origin::of(project, stage, record, kind)?;
    let mut matchable = None;
    if let Some(binary) = &origin.path
        && let Some(yaml) = self::matchable(project, binary, &path, &work.join(format!("{role}.yaml")))?
    {
        let file = format!("profiles/{role}.yaml");
        matchable = Some(member(&file, &yaml)?);
        files.insert(file, yaml);
    }
    files.insert(plain.file.clone(), path);
    let origin::Origin { sources, tools, instrumented, rewritten, .. } = origin;
    Ok(Entry { sources, tools, instrumented, rewritten, matchable, ..plain })
}

fn member(file: &str, path: &Utf8Path) -> Result<Member> {
    let mut hasher = blake3::Hasher::new();
    let content = File::open(path).with_context(|| format!("cannot open {path}"))?;
    let bytes = std::io::copy(&mut &content, &mut hasher).with_context(|| format!("cannot read {path}"))?;
    Ok(Member { file: file.into(), bytes, blake3: hasher.finalize().to_hex().to_string() })
}

/// What a bundle said of a profile that was taken out of it.
fn said(path: &Utf8Path) -> Result<Option<Entry>> {
    let Some(text) = disk::read_if_there(path)? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&text).with_context(|| format!("{path} is damaged"))?))
}

/// Writes the bundle aside, and puts it in its place when it is whole. Its size.
fn pack(output: &Utf8Path, manifest: &Manifest, files: &Files) -> Result<u64> {
    let cannot = || format!("cannot write {output}");
    let partial = Utf8PathBuf::from(format!("{output}.partial"));
    let file = File::create(&partial).with_context(cannot)?;
    let open = |name: &str| -> std::io::Result<Box<dyn Read>> {
        let path = files.get(name).ok_or_else(|| std::io::Error::other(format!("there is no file for `{name}`")))?;
        Ok(Box::new(File::open(path)?))
    };
    let written = bundle::write(BufWriter::new(&file), manifest, open).and_then(|()| file.sync_all());
    let written = written.and_then(|()| fs::rename(&partial, output));
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(error).with_context(cannot);
    }
    Ok(output.metadata().with_context(cannot)?.len())
}

fn listing(manifest: &Manifest, output: &Utf8Path, bytes: u64) -> String {
    let width = manifest.profiles.iter().map(|entry| entry.role.len()).max().unwrap_or_default();
    let mut lines = String::new();
    for entry in &manifest.profiles {
        let revision = entry.sources.iter().find_map(|source| source.revision.as_deref());
        let revision = revision.map(|revision| format!(", of {revision}")).unwrap_or_default();
        lines.push_str(&format!("{:width$}  {}{revision}\n", entry.role, text::size(entry.bytes)));
    }
    lines.push_str(&format!("{output}: {}\n", text::size(bytes)));
    lines
}

/// Has llvm-bolt write a profile as YAML, BOLT's other format. None, and it is said why: it cannot.
///
/// The text that processes write (`.fdata`) names functions and offsets, which are of use for the very same code only. The YAML has
/// hashes of functions and blocks as well, by which `llvm-bolt -infer-stale-profile` finds them again in other code; with the text
/// that option does nothing. Only llvm-bolt can write it, and it needs the binary that the profile is of.
fn matchable(
    project: &Project,
    binary: &Utf8Path,
    profile: &Utf8Path,
    output: &Utf8Path,
) -> Result<Option<Utf8PathBuf>> {
    let (Some(dir), Some(name)) = (binary.parent(), binary.file_name()) else { return Ok(None) };
    let without = |why: &str| {
        tell(&format!("without the form of {profile} that llvm-bolt can match with other code: {why}"));
        Ok(None)
    };
    let tool = match toolchain::locate(&project.facts, &project.pipeline, "llvm-bolt") {
        Ok(tool) => tool,
        Err(gap) => return without(&gap.what),
    };
    // The name is written into the file; the directory, which is another one on each machine, is not.
    let args = [name, "-data", profile.as_str(), "-w", output.as_str(), "-o", "/dev/null"];
    let run = Command::new(&tool).args(args).current_dir(dir).stdin(Stdio::null()).output();
    match run {
        Ok(ended) if ended.status.success() && output.exists() => Ok(Some(output.to_owned())),
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            without(&format!("{tool} failed ({}) {}", ended.status, said.lines().last().unwrap_or_default()))
        }
        Err(error) => without(&format!("{tool} cannot be run: {error}")),
    }
}
