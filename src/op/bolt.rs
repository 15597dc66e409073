//! What is done around llvm-bolt: its input, its profiles and its output are checked, and the slots that instrumented files write to.
//!
//! llvm-bolt finds functions by their symbols, moves them by their relocations, and takes any profile: its text does not say which file it
//! is of, and what does not fit moves code by wrong counts. An instrumented file has the path of its profiles compiled in, so that belongs
//! to a slot and not to an attempt; a text file beside the copy has it. Unaware of the optimisations.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use object::elf::{SHF_ALLOC, SHT_REL, SHT_RELA};
use object::read::ReadCache;
use object::{Object, ObjectSection, ObjectSegment, SectionFlags};
use walkdir::WalkDir;

use super::{bolt_result, logs};
use crate::event::Fact;
use crate::fs::tree;
use crate::plan::ops::given::{
    CheckBoltInput, CheckBoltProfile, CheckBoltUse, CheckBolted, ClearSlot, Collect, StripLike,
};
use crate::profile::elf::{Binary, Identity};
use crate::profile::{self, ProfileFile};

impl CheckBoltInput {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let file = &self.file;
        let binary = read(file)?;
        if binary.bolted {
            bail!(
                "{file} was rewritten by llvm-bolt before, and it cannot do that twice; name the file that the linker made"
            );
        }
        if !binary.symbols {
            bail!(
                "{file} is stripped, and BOLT finds functions by their symbols. Keep them until BOLT is done: `strip = false` in \
                 the cargo profile, no `-s` among the linker flags, no `strip` after the build"
            );
        }
        if !binary.code_relocations {
            bail!(
                "{file} has no relocations, without which BOLT cannot move functions. Link it with `--emit-relocs`: \
                 `keep-relocations = true` in the stage that builds it, or `-Wl,--emit-relocs` among the linker flags"
            );
        }
        if let Some(output) = &self.output {
            self.apart_from(output)?;
        }
        let mut facts = self.within_reach()?;
        facts.extend(self.leave_out()?);
        Ok(facts)
    }

    fn apart_from(&self, output: &Utf8Path) -> Result<()> {
        // What does not exist yet is another file.
        let Ok(there) = output.metadata() else { return Ok(()) };
        let here = self.file.metadata().with_context(|| format!("cannot look at {}", self.file))?;
        if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
            bail!("{} and {output} are the same file; llvm-bolt must not write to its input", self.file);
        }
        Ok(())
    }
}

impl CheckBolted {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let file = &self.file;
        let binary = read(file)?;
        if !binary.bolted {
            bail!("{file} has no `.note.bolt_info`: llvm-bolt left it as it was; its output says why");
        }
        let mut facts = match &self.input {
            Some(input) => bolt_result::differences(input, file, binary.bolt_instrumented)?,
            None => Vec::new(),
        };
        facts.push(Fact::bytes("size", size(file)?));
        Ok(facts)
    }
}

fn read(file: &Utf8Path) -> Result<Binary> {
    match Binary::read(file)? {
        Some(binary) => Ok(binary),
        None => bail!("{file} is not an ELF executable or shared library, the only files that BOLT rewrites here"),
    }
}

impl CheckBoltProfile {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (file, role) = (&self.file, &self.role);
        let Some(here) = Identity::read(file)? else {
            bail!("{file} is not an ELF executable or shared library, the only files that BOLT rewrites here");
        };
        let same_id = self.build_id.is_some() && self.build_id == here.build_id;
        if same_id || self.code.as_ref() == Some(&here.code) {
            return Ok(Vec::new());
        }
        let shown = |id: &Option<String>, code: Option<&str>| match (id, code) {
            (Some(id), _) => format!("build id {id}"),
            (None, Some(code)) => format!("no build id, code {}", code.get(..16).unwrap_or(code)),
            (None, None) => "no build id".into(),
        };
        bail!(
            "the BOLT profile with role `{role}` is of another file than {file}: it was gathered on {}, and this one has {}. \
             BOLT profiles fit only the very code that they were gathered on: build with the sources, tools and flags of the \
             bundle, or leave the role out and gather anew. \
             `--allow-stale-profiles` uses it all the same, as far as llvm-bolt can match it (`-infer-stale-profile`)",
            shown(&self.build_id, self.code.as_deref()),
            shown(&here.build_id, Some(&here.code)),
        );
    }
}

impl CheckBoltUse {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let logs = logs::of_step(&self.logs, &self.step)?;
        // The last try is the one that counts.
        let Some(log) = logs.last() else { bail!("there is no log of `{}` in {}", self.step, self.logs) };
        let text = fs::read(log).with_context(|| format!("cannot read the log {log}"))?;
        let said = said(&String::from_utf8_lossy(&text));
        let advice = "Use a bundle of these very sources, tools and flags, or leave the role out and gather anew; \
                      `--allow-stale-profiles` uses it all the same";
        if said.functions == Some(0) {
            bail!("the BOLT profile has counts of none of the functions: it is of another program. {advice}");
        }
        if said.stale > self.max_stale.value() {
            bail!(
                "{:.1} % of the counts in the BOLT profile are of functions that have other code here: it is of another build. At \
                 most {} may be. {advice}",
                said.stale * 100.0,
                self.max_stale
            );
        }
        Ok(vec![Fact::percent("stale-counts", said.stale)])
    }
}

/// What llvm-bolt says of a profile.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// How many functions of the file have counts.
    pub functions: Option<u64>,
    /// Share of the counts that belong to functions whose code is another one, from 0 to 1.
    pub stale: f64,
}

/// Reads what llvm-bolt printed.
pub fn said(log: &str) -> Said {
    let mut said = Said::default();
    for line in log.lines() {
        if line.contains("have non-empty execution profile") {
            said.functions = out_of(line).map(|(some, _)| some);
        } else if line.contains("belong to functions with invalid (possibly stale) profile")
            && let Some((some, all)) = out_of(line)
        {
            said.stale = some as f64 / all.max(1) as f64;
        }
    }
    said
}

/// The numbers of `…: 7 out of 10 …`.
fn out_of(line: &str) -> Option<(u64, u64)> {
    let (before, behind) = line.split_once(" out of ")?;
    let number = |word: Option<&str>| word?.parse().ok();
    Some((number(before.rsplit(' ').next())?, number(behind.split(' ').next())?))
}

/// What of a program a user can do without.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    symbols: bool,
    debug: bool,
    /// Sections with relocations that a linker was asked to keep.
    relocations: Vec<String>,
}

impl StripLike {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (mut before, mut after) = (0, 0);
        for entry in WalkDir::new(&self.target) {
            let entry = entry.with_context(|| format!("cannot read {}", self.target))?;
            let path = Utf8PathBuf::from_path_buf(entry.into_path());
            let Ok(path) = path else { bail!("a name below {} is not UTF-8", self.target) };
            let below = path.strip_prefix(&self.target).unwrap_or(Utf8Path::new(""));
            let like = if below.as_str().is_empty() { self.like.clone() } else { self.like.join(below) };
            let is_file = |path: &Utf8Path| path.symlink_metadata().is_ok_and(|meta| meta.is_file());
            if !is_file(&path) || !like.is_file() {
                continue;
            }
            let (Some(have), Some(wanted)) = (contents(&path)?, contents(&like)?) else { continue };
            before += size(&path)?;
            self.strip(&path, &have, &wanted)?;
            after += size(&path)?;
        }
        if before == 0 {
            bail!("no program in {} is in {} too, so how it is to be stripped is not known", self.target, self.like);
        }
        Ok(vec![Fact::bytes("before", before), Fact::bytes("after", after)])
    }

    fn strip(&self, path: &Utf8Path, have: &Contents, wanted: &Contents) -> Result<()> {
        let mut options = Vec::new();
        if have.symbols && !wanted.symbols {
            options.push("--strip-all".to_owned());
        } else if have.debug && !wanted.debug {
            options.push("--strip-debug".to_owned());
        }
        let kept = have.relocations.iter().filter(|section| !wanted.relocations.contains(section));
        options.extend(kept.map(|section| format!("--remove-section={section}")));
        if options.is_empty() { Ok(()) } else { replaced(path, &self.objcopy, &options, "strip") }
    }
}

/// Puts what llvm-objcopy makes of a file in its place. `what` it is to do, for messages.
///
/// # Errors
/// It cannot, or what it makes could not be loaded.
pub(super) fn replaced(path: &Utf8Path, objcopy: &Utf8Path, options: &[String], what: &str) -> Result<()> {
    // Another inode: the file may have other names, which stay as they are.
    let made = path.with_file_name(format!(".new-{}", path.file_name().unwrap_or_default()));
    let output = Command::new(objcopy).args(options).args([path, &made]).output();
    let output = output.with_context(|| format!("cannot start {objcopy}"))?;
    if !output.status.success() {
        bail!("{objcopy} cannot {what} {path}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    if let Some(address) = misplaced(&made)? {
        let _ = fs::remove_file(&made);
        bail!(
            "{objcopy} cannot {what} {path}: in what it makes, the segment at {address:#x} cannot be loaded, as old ones do with what \
             llvm-bolt wrote. Take the llvm-objcopy of the LLVM that llvm-bolt is of"
        );
    }
    fs::rename(&made, path).with_context(|| format!("cannot replace {path}"))
}

/// The address of a segment that does not lie in its page as it does in the file: no loader can map it.
fn misplaced(path: &Utf8Path) -> Result<Option<u64>> {
    let file = fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).with_context(|| format!("{path} is not a valid ELF file"))?;
    let off = |segment: &object::Segment<_>| {
        let (address, offset, align) = (segment.address(), segment.file_range().0, segment.align());
        align > 1 && address % align != offset % align
    };
    Ok(object.segments().find(off).map(|segment| segment.address()))
}

fn size(path: &Utf8Path) -> Result<u64> {
    Ok(path.metadata().with_context(|| format!("cannot look at {path}"))?.len())
}

/// None: not an ELF file.
fn contents(path: &Utf8Path) -> Result<Option<Contents>> {
    if Binary::read(path)?.is_none() {
        return Ok(None);
    }
    let file = fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).with_context(|| format!("{path} is not a valid ELF file"))?;
    let mut contents = Contents::default();
    for section in object.sections() {
        let name = section.name().unwrap_or_default();
        contents.symbols |= name == ".symtab";
        contents.debug |= matches!(name, ".debug_info" | ".zdebug_info");
        // Those that are loaded are for the loader.
        if let SectionFlags::Elf { sh_flags, sh_type } = section.flags()
            && matches!(sh_type, SHT_RELA | SHT_REL)
            && sh_flags.0 & SHF_ALLOC.0 == 0
        {
            contents.relocations.push(name.to_string());
        }
    }
    Ok(Some(contents))
}

impl ClearSlot {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let slot = Slot::read(&self.path_file)?;
        fs::create_dir_all(&slot.dir).with_context(|| format!("cannot make the directory {}", slot.dir))?;
        for file in slot.profiles()? {
            tree::remove(&file.path)?;
        }
        Ok(Vec::new())
    }
}

impl Collect {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let slot = Slot::read(&self.path_file)?;
        fs::create_dir_all(&self.to).with_context(|| format!("cannot make the directory {}", self.to))?;
        for file in slot.profiles()? {
            let target = self.to.join(file.path.file_name().unwrap_or_default());
            // Across file systems a rename is refused.
            if fs::rename(&file.path, &target).is_err() {
                tree::copy_file(&file.path, &target)?;
                tree::remove(&file.path)?;
            }
        }
        Ok(Vec::new())
    }
}

/// Where the instrumented file of a slot writes: files in `dir` whose names begin with `stem`.
pub(super) struct Slot {
    pub dir: Utf8PathBuf,
    pub stem: String,
}

impl Slot {
    pub fn read(path_file: &Utf8Path) -> Result<Slot> {
        let text = fs::read_to_string(path_file).with_context(|| format!("cannot read {path_file}"))?;
        let path = Utf8Path::new(text.trim_end_matches('\n'));
        match (path.parent(), path.file_name()) {
            (Some(dir), Some(stem)) if path.is_absolute() => Ok(Slot { dir: dir.to_owned(), stem: stem.to_owned() }),
            _ => bail!("{path_file} does not hold the absolute path of a profile"),
        }
    }

    fn profiles(&self) -> Result<Vec<ProfileFile>> {
        let ours = |path: &Utf8Path| {
            let name = path.file_name().unwrap_or_default();
            name == self.stem || (name.starts_with(&format!("{}.", self.stem)) && name.ends_with(".fdata"))
        };
        profile::find(&self.dir, ours).with_context(|| format!("cannot read the directory {}", self.dir))
    }
}
