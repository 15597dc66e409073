//! Compilers that add the flags of a stage to each call: `wrap-compilers` writes them, `compile` is what they do, `check-compiled`
//! looks whether a program was made by them.
//!
//! Flags stand behind those of the call, so they count whatever a Makefile says. What a call is decides which it gets:
//!
//! | call | flags |
//! |---|---|
//! | without an input (`-v`, `--version`, `-print-…`), preprocessing alone, clang's own inner calls (`-cc1`) | none |
//! | `-c`, `-S` | those of what is compiled |
//! | a link, of objects or of sources | those of what is linked, and of what is compiled where there are sources |
//! | `-r` | of those of a link the ones for link-time optimisation |
//!
//! A flag of the call that would contradict the stage is left out: another profile's, and `-s` where symbols and relocations are kept.
//! Of a profile that does not fit, clang says so in warnings. They are taken down beside what was compiled and not passed on: a build
//! may hide them, and a `configure` takes a warning for a compiler that lacks something. Unaware of stages.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::event::Fact;
use crate::fs::{disk, pattern};
use crate::plan::ops::given::{CheckCompiled, WrapCompilers};
use crate::plan::ops::{CC, CXX, NO_WARNINGS, WARNINGS};
use crate::profile::warnings::Warnings;
use crate::profile::{self, elf};
use crate::text::{self, shell};

/// In the record's directory: what was compiled, a line for each call, and what the compiler said of the profile.
const COMPILED: &str = "optbuild-compiled";
const SAID: &str = "optbuild-compiler-said";

/// Source files that others have compiled are named above this share of all.
const WORTH_A_WARNING: f64 = 0.25;

/// What a compiler of a stage does, in the file beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Setup {
    compiler: Utf8PathBuf,
    clang: bool,
    compile: Vec<String>,
    link: Vec<String>,
    record: Utf8PathBuf,
    /// Its warnings are taken down.
    listens: bool,
}

/// A line of the record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The first one: with which flags.
    With(Vec<String>),
    Sources(Vec<String>),
}

impl WrapCompilers {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        disk::make_dir(&self.dir)?;
        disk::make_dir(&self.record)?;
        let optbuild = std::env::current_exe().context("cannot find this program")?;
        let optbuild = Utf8PathBuf::try_from(optbuild).context("the path of this program is not UTF-8")?;
        for (name, compiler) in [(CC, Some(&self.cc)), (CXX, self.cxx.as_ref())] {
            let Some(compiler) = compiler else { continue };
            let setup = Setup {
                compiler: compiler.clone(),
                clang: self.clang,
                compile: self.compile.clone(),
                link: self.link.clone(),
                record: self.record.clone(),
                listens: self.profile.is_some(),
            };
            let (program, file) = (self.dir.join(name), self.dir.join(format!("{name}.json")));
            disk::write_json(&file, &setup)?;
            let (optbuild, file) = (shell::quote(optbuild.as_str()), shell::quote(file.as_str()));
            let script = format!("#!/bin/sh\nexec {optbuild} compile {file} \"$@\"\n");
            fs::write(&program, script).with_context(|| format!("cannot write {program}"))?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot make {program} executable"))?;
        }
        self.begin_record()?;
        Ok(Vec::new())
    }

    /// Of what was compiled with other flags, the record says nothing.
    fn begin_record(&self) -> Result<()> {
        let record = self.record.join(COMPILED);
        let flags: Vec<String> = self.compile.iter().chain(&self.link).cloned().collect();
        let other = lines(&record)?.iter().any(|line| matches!(line, Line::With(with) if *with != flags));
        if other {
            for file in [&record, &self.record.join(SAID)] {
                disk::remove_durably(file)?;
            }
        }
        append(&record, &to_line(&Line::With(flags))?)
    }
}

fn to_line(line: &Line) -> Result<String> {
    Ok(serde_json::to_string(line).context("cannot write what was compiled")? + "\n")
}

/// What was taken down; lines that were cut off are left out.
fn lines(record: &Utf8Path) -> Result<Vec<Line>> {
    let text = disk::read_if_there(record)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// What compilers have said of the profile, in this build directory.
pub(super) fn said(record: &Utf8Path) -> Result<String> {
    let text = disk::read_if_there(&record.join(SAID))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// At once, so that lines of calls at the same time stay whole.
fn append(file: &Utf8Path, text: &str) -> Result<()> {
    let mut options = fs::File::options();
    let opened = options.create(true).append(true).mode(0o644).open(file);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("cannot write {file}"))
}

/// `optbuild compile SETUP ARGUMENTS…`: calls the compiler.
pub fn compile() -> ExitCode {
    match call() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Where it cannot be written, the status tells.
            let _ = writeln!(io::stderr(), "optbuild compile: {error:#}");
            ExitCode::from(127)
        }
    }
}

fn call() -> Result<u8> {
    let mut words = std::env::args_os().skip(2);
    let file = words.next().unwrap_or_default();
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let setup: Setup = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?;
    let words: Vec<OsString> = words.collect();
    let call = Call::read(&expanded(&words));
    let mut command = Command::new(&setup.compiler);
    command.args(setup.arguments(&words, &call));
    let cwd = std::env::current_dir().ok().and_then(|cwd| Utf8PathBuf::try_from(cwd).ok()).unwrap_or_default();
    let sources: Vec<String> = call.sources.iter().filter(|name| !is_probe(name, &cwd)).cloned().collect();
    if !sources.is_empty() {
        append(&setup.record.join(COMPILED), &to_line(&Line::Sources(sources.clone()))?)?;
    }
    if !setup.listens || call.sources.is_empty() {
        let error = command.exec();
        return Err(error).with_context(|| format!("cannot run {}", setup.compiler));
    }
    let said = listen(&mut command, &setup)?;
    if !said.1.is_empty() && !sources.is_empty() {
        append(&setup.record.join(SAID), &said.1)?;
    }
    Ok(said.0)
}

/// Runs a compiler and passes on what it says, less what it says of the profile. Returns its status, and that.
fn listen(command: &mut Command, setup: &Setup) -> Result<(u8, String)> {
    let running = command.stderr(Stdio::piped()).spawn();
    let mut running = running.with_context(|| format!("cannot run {}", setup.compiler))?;
    let (mut about, mut own, mut count) = (Warnings::default(), String::new(), 0_u64);
    if let Some(stderr) = running.stderr.take() {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).context("cannot read what the compiler says")? > 0 {
            let text = String::from_utf8_lossy(&line);
            if about.add_line(&text) {
                count += 1;
                own.push_str(&text);
            } else {
                let passed = counted(&text, count).map_or_else(|| line.clone(), String::into_bytes);
                // Nobody may read it any more.
                let _ = io::stderr().write_all(&passed);
            }
            line.clear();
        }
    }
    let status = running.wait().with_context(|| format!("cannot wait for {}", setup.compiler))?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok((u8::try_from(code).unwrap_or(1), own))
}

/// clang's last line, `3 warnings generated.`, less those that were not passed on. None: it is another line.
fn counted(line: &str, taken: u64) -> Option<String> {
    let words = line.trim_end().strip_suffix(" generated.")?;
    let (number, what) = words.split_once(' ')?;
    if !matches!(what, "warning" | "warnings") {
        return None;
    }
    Some(match number.parse::<u64>().ok()?.saturating_sub(taken) {
        0 => String::new(),
        1 => "1 warning generated.\n".into(),
        more => format!("{more} warnings generated.\n"),
    })
}

impl Setup {
    /// What the compiler is called with.
    fn arguments(&self, words: &[OsString], call: &Call) -> Vec<OsString> {
        let mut flags: Vec<&str> = Vec::new();
        if call.compiles {
            flags.extend(self.compile.iter().map(String::as_str));
        }
        if call.links {
            let fits = |flag: &&String| !call.relocatable || flag.starts_with("-flto");
            let more = self.link.iter().filter(fits).map(String::as_str);
            flags.extend(more.filter(|flag| !call.compiles || !self.compile.iter().any(|own| own == flag)));
        }
        if flags.is_empty() {
            return words.to_vec();
        }
        if self.clang {
            flags.insert(0, NO_WARNINGS);
            flags.push(WARNINGS);
        }
        // Behind it there are inputs only.
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let (before, behind) = words.split_at(end);
        let kept = before.iter().flat_map(|word| self.kept_of(word));
        kept.chain(flags.into_iter().map(OsString::from)).chain(behind.iter().cloned()).collect()
    }

    /// What is left of a word of the call: of a response file with something that contradicts the stage, its other words.
    fn kept_of(&self, word: &OsString) -> Vec<OsString> {
        let Some(inner) = response_file(word) else { return self.kept(word).into_iter().collect() };
        let inner: Vec<OsString> = inner.into_iter().map(OsString::from).collect();
        let kept: Vec<OsString> = inner.iter().flat_map(|word| self.kept_of(word)).collect();
        if kept == inner { vec![word.clone()] } else { kept }
    }

    /// A word of the call, if it does not contradict the stage.
    fn kept(&self, word: &OsStr) -> Option<OsString> {
        let has = |start: &str| self.compile.iter().chain(&self.link).any(|flag| flag.starts_with(start));
        let text = word.to_string_lossy();
        let of_profile = ["-fprofile-generate", "-fprofile-use", "-fprofile-instr-", "-fcs-profile-generate"];
        if of_profile.iter().any(|flag| text.starts_with(flag)) && of_profile.iter().any(|flag| has(flag))
            || ["-s", "-Wl,-s", "-Wl,--strip-all"].contains(&&*text) && has("-Wl,--emit-relocs")
        {
            return None;
        }
        // With `-w` clang does not say that a profile does not fit, whatever else stands there.
        Some(if self.listens && text == "-w" { "-Wno-everything".into() } else { word.to_owned() })
    }
}

/// What a call of a compiler is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Call {
    compiles: bool,
    links: bool,
    relocatable: bool,
    /// The source files in C, C++ and the like.
    sources: Vec<String>,
}

/// Options whose value is the next word.
const WITH_VALUE: [&str; 37] = [
    "-o",
    "-x",
    "-I",
    "-D",
    "-U",
    "-L",
    "-l",
    "-T",
    "-u",
    "-z",
    "-e",
    "-A",
    "-B",
    "-G",
    "-F",
    "-MF",
    "-MT",
    "-MQ",
    "-arch",
    "-target",
    "-include",
    "-imacros",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-iprefix",
    "-isysroot",
    "-framework",
    "-mllvm",
    "-Xclang",
    "-Xlinker",
    "-Xassembler",
    "-Xpreprocessor",
    "--sysroot",
    "--param",
    "-MJ",
    "-iwithprefix",
];

/// Options with which nothing is compiled or linked.
const OTHER: [&str; 10] =
    ["-E", "-M", "-MM", "-fsyntax-only", "-###", "--analyze", "--version", "--help", "-dumpversion", "-dumpmachine"];

/// Languages whose functions have profiles, as `-x` calls them, and the extensions of their files.
const LANGUAGES: [&str; 8] = ["c", "c++", "cpp-output", "c++-cpp-output", "objective-c", "objective-c++", "ir", "cuda"];
const EXTENSIONS: [&str; 13] = ["c", "cc", "cp", "cpp", "cxx", "c++", "C", "CPP", "i", "ii", "m", "mm", "bc"];

impl Call {
    fn read(words: &[String]) -> Call {
        let (mut call, mut inputs, mut language) = (Call::default(), 0, None);
        let (mut stops, mut options) = (false, true);
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--" if options => options = false,
                "-c" | "-S" if options => stops = true,
                "-r" | "-Wl,-r" | "--relocatable" if options => call.relocatable = true,
                _ if options
                    && (OTHER.contains(&word)
                        || word.starts_with("-cc1")
                        || word.trim_start_matches('-').starts_with("print-")) =>
                {
                    return Call::default();
                }
                _ if options && WITH_VALUE.contains(&word) => {
                    let value = words.next();
                    if word == "-x" {
                        language = value.filter(|value| *value != "none");
                    }
                }
                _ if options && word.starts_with("-x") => language = Some(&word[2..]).filter(|value| *value != "none"),
                _ if options && word.starts_with('-') && word != "-" => {}
                input => {
                    inputs += 1;
                    let extension = Utf8Path::new(input).extension().unwrap_or_default();
                    let is_source = language.map_or(EXTENSIONS.contains(&extension), |name| LANGUAGES.contains(&name));
                    call.sources.extend(is_source.then(|| input.to_owned()));
                }
            }
        }
        call.compiles = inputs > 0 && (stops || !call.sources.is_empty());
        call.links = inputs > 0 && !stops;
        call
    }
}

/// The words, with those of response files in the place of their names. A file that cannot be read is the compiler's affair.
fn expanded(words: &[OsString]) -> Vec<String> {
    let mut all = Vec::new();
    for word in words {
        match response_file(word) {
            Some(inner) => all.extend(inner),
            None => all.push(word.to_string_lossy().into_owned()),
        }
    }
    all
}

/// The words of a response file, if that is what a word names.
fn response_file(word: &OsStr) -> Option<Vec<String>> {
    let word = word.to_string_lossy();
    Some(in_response_file(&fs::read_to_string(word.strip_prefix('@')?).ok()?))
}

/// The words of a response file: blanks between them, quotes of both kinds, and a backslash before any character.
fn in_response_file(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\\', _) => word.get_or_insert_default().extend(chars.next()),
            (char, Some(open)) if char == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (char, None) if char.is_whitespace() => words.extend(word.take()),
            (char, _) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// Directories in which meson and CMake try out what a compiler can, and beginnings of the names of files that do it.
const PROBE_DIRS: [&str; 5] = ["CMakeScratch", "CMakeTmp", "CompilerIdC", "CompilerIdCXX", "meson-private"];
const PROBES: [&str; 5] = ["conftest", "sanitycheck", "sanity_check_for_", "testfile.", "CMakeC"];

/// Whether a source file only tries out what a compiler can: autoconf's, meson's and CMake's, and what comes through a pipe.
fn is_probe(source: &str, cwd: &Utf8Path) -> bool {
    let path = cwd.join(source);
    let name = path.file_name().unwrap_or_default();
    source == "-"
        || source == "/dev/null"
        || PROBES.iter().any(|beginning| name.starts_with(beginning))
        || path.components().any(|part| PROBE_DIRS.contains(&part.as_str()))
}

impl CheckCompiled {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let mut compiled: BTreeSet<String> = BTreeSet::new();
        for line in lines(&self.record.join(COMPILED))? {
            if let Line::Sources(sources) = line {
                compiled.extend(sources);
            }
        }
        let keys = &self.keys;
        const REMEDY: &str = "Let the build call them, as in `make CC=\"${self.cc}\"` (a Makefile's own `CC =` wins over the environment), \
                              and let it compile anew what was compiled before (`make clean`)";
        if compiled.is_empty() {
            bail!(
                "nothing was compiled by the compilers of the stage, `${{self.cc}}` and `${{self.cxx}}`, so {keys} had no effect.\n  \
                 {REMEDY}"
            );
        }
        let name = |path: &str| Utf8Path::new(path).file_name().unwrap_or_default().to_owned();
        let ours: BTreeSet<String> = compiled.iter().map(|path| name(path)).collect();
        let (all, others, relocations) = self.in_the_program(&ours)?;
        if all > 0 && others.len() == all {
            let others: Vec<String> = others.into_iter().collect();
            bail!(
                "none of {} of the program was compiled by the compilers of the stage, `${{self.cc}}` and `${{self.cxx}}`, so {keys} \
                 had no effect on it: {}.\n  {REMEDY}",
                text::plural(all, "source file"),
                text::few(&others)
            );
        }
        let mut facts = vec![Fact::number("compiled-files", compiled.len() as f64)];
        // Why the program is larger than others have it.
        facts.extend((relocations > 0).then(|| Fact::bytes("kept-relocations", relocations)));
        if others.len() as f64 > all as f64 * WORTH_A_WARNING {
            let (number, others): (usize, Vec<String>) = (others.len(), others.into_iter().collect());
            facts.push(Fact::warning(format!(
                "{number} of {} of the program were not compiled by the compilers of the stage, so {keys} had no effect on them: {}",
                text::plural(all, "source file"),
                text::few(&others)
            )));
        }
        Ok(facts)
    }

    /// How many source files the linked programs name, which of them are not ours, and how many bytes of relocations they have.
    fn in_the_program(&self, ours: &BTreeSet<String>) -> Result<(usize, BTreeSet<String>, u64)> {
        let (mut named, mut relocations) = (BTreeSet::new(), 0);
        for built in &self.built {
            let built = &pattern::resolve(built).with_context(|| format!("cannot find {built}"))?;
            for file in profile::find(built, |_| true).with_context(|| format!("cannot read {built}"))? {
                // What is installed may be files of all sorts.
                match elf::source_files(&file.path, |name| _ = named.insert(name.to_owned())) {
                    Ok(None) => {}
                    Ok(Some(())) => relocations += elf::Ballast::read(&file.path)?.unwrap_or_default().relocations,
                    Err(error) => tracing::debug!("{}: {error:#}", file.path),
                }
            }
        }
        let is_source = |name: &String| EXTENSIONS.contains(&Utf8Path::new(name).extension().unwrap_or_default());
        named.retain(|name| is_source(name) && (ours.contains(name) || !STARTUP.contains(&name.as_str())));
        let all = named.len();
        named.retain(|name| !ours.contains(name));
        Ok((all, named, relocations))
    }
}

/// Files of the compiler and the C library that every program has.
const STARTUP: [&str; 5] = ["crtstuff.c", "abi-note.c", "init.c", "elf-init.c", "static-reloc.c"];
