//! Compilers that add flags to each call: for builds that optbuild does not configure, such as make, autotools and meson.
//!
//! Which flags a stage's keys ask for, and the steps before and after the build. How calls are read, and what is taken down of them, is
//! in `crate::op::compilers`. Unaware of what the stage runs.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::{Context, Lto, Pgo, PlanError, bolt};
use crate::pipeline::Text;
use crate::plan::ops::{COMPILERS, CheckCompiled, CheckProfileUse, WrapCompilers};
use crate::plan::{Arg, Command, Gap, Part, Step, Symbol, Unfit};
use crate::toolchain::llvm::{self, Compiler, LOCAL_NAMES, WARN_UNPROFILED};

/// What a stage says of the code that its build compiles.
#[derive(Debug)]
pub struct Wrapped {
    pub pgo: Option<Pgo>,
    pub lto: Lto,
    pub keep_relocations: bool,
    pub max_unprofiled: Option<Text>,
    pub compiler: Option<Text>,
}

/// Names that a compiler's path cannot have in Makefiles and in scripts of others.
const UNFIT: [Unfit; 7] = [
    Unfit { text: " ", because: "make and configure take it for the end of the compiler's name" },
    Unfit { text: "'", because: "make and configure take it for the beginning of a text" },
    Unfit { text: "\"", because: "make and configure take it for the beginning of a text" },
    Unfit { text: "$", because: "make takes it for a variable" },
    Unfit { text: "#", because: "make takes it for the beginning of a comment" },
    Unfit { text: ";", because: "make and configure take it for the end of a command" },
    Unfit { text: "\n", because: "make and configure take it for the end of a line" },
];

/// The compilers, and what is known of them.
struct Compilers {
    c: Arg,
    cxx: Option<Arg>,
    kind: Compiler,
    path: Option<Utf8PathBuf>,
}

/// The profile that a build uses, and the tool that reads it.
pub struct Used {
    profile: Arg,
    reader: Option<Arg>,
}

impl Wrapped {
    pub fn instruments(&self) -> bool {
        self.pgo == Some(Pgo::Generate)
    }

    /// The keys that want something of the compiler, for messages.
    pub fn keys(&self) -> Vec<&'static str> {
        let keys =
            [("pgo", self.pgo.is_some()), ("lto", self.lto != Lto::Off), ("keep-relocations", self.keep_relocations)];
        keys.into_iter().filter(|(_, on)| *on).map(|(key, _)| key).collect()
    }

    /// The C compiler.
    fn c(&self, cx: &mut Context) -> Result<Arg, PlanError> {
        match &self.compiler {
            Some(text) => cx.program(text),
            None => Ok(cx.tool("clang")),
        }
    }

    /// Where the C compiler is.
    ///
    /// # Errors
    /// A gap: it is missing, or made by another stage.
    pub fn clang(&self, cx: &mut Context) -> Result<Utf8PathBuf, Gap> {
        let literal = self.compiler.as_ref().map(Text::as_literal);
        match (literal, &self.compiler) {
            (Some(Some(name)), _) if !name.contains('/') => cx.find_tool(&name),
            (_, Some(text)) => {
                let path = cx.arg(text).ok().and_then(|arg| cx.known_path(&arg));
                path.ok_or_else(|| Gap {
                    what: format!(
                        "the llvm-profdata that belongs to the compiler `{text}` is not known before it is built"
                    ),
                    remedy: "name it with `profdata` in the gather stage".into(),
                })
            }
            (_, None) => cx.find_tool("clang"),
        }
    }

    fn compilers(&self, cx: &mut Context) -> Result<Compilers, PlanError> {
        let c = self.c(cx)?;
        let path = cx.known_path(&c);
        let kind = match &path {
            Some(path) => llvm::compiler(cx.facts, path),
            None if c.symbolic().contains("gcc") => Compiler::Gcc,
            None => Compiler::Clang(None),
        };
        let declared = cx.pipeline.tools.contains_key("clang++") && self.compiler.is_none();
        let beside = path.as_ref().and_then(|path| llvm::cplusplus(cx.facts, path).ok());
        let cxx = match beside {
            _ if declared => Some(cx.tool("clang++")),
            Some(found) => Some(cx.tool_at("clang++", found)),
            None => {
                cx.note("there is no C++ compiler beside the C compiler, so `${self.cxx}` does not exist");
                None
            }
        };
        let key = self.pgo.as_ref().map(|_| "pgo").or((self.lto == Lto::Thin).then_some("lto"));
        if let Some(key) = key.filter(|_| !matches!(kind, Compiler::Clang(_))) {
            let message = "works with clang only: gcc's profiles and thin LTO are others; set `compiler = \"clang\"`";
            return Err(cx.invalid(key, message));
        }
        if let Some(path) = path.as_ref().filter(|_| self.instruments())
            && let Err(gap) = llvm::profile_runtime(cx.facts, path)
        {
            cx.gap(gap.what, gap.remedy);
        }
        Ok(Compilers { c, cxx, kind, path })
    }

    /// Adds the steps that stand before the build.
    pub fn begin(&self, cx: &mut Context) -> Result<Option<Used>, PlanError> {
        let compilers = self.compilers(cx)?;
        let is_clang = matches!(compilers.kind, Compiler::Clang(_));
        let profile = self.pgo.as_ref().and_then(Pgo::profile).map(|text| cx.arg(text)).transpose()?;
        let mut compile: Vec<Arg> = Vec::new();
        compile.extend(profile.iter().map(|profile| Arg::from("-fprofile-use=").with(profile.clone())));
        compile.extend(self.instruments().then(|| "-fprofile-generate".into()));
        compile.extend(match self.lto {
            Lto::Off => None,
            Lto::Thin => Some(Arg::from("-flto=thin")),
            Lto::Full => Some(if is_clang { "-flto=full" } else { "-flto" }.into()),
        });
        // The driver needs them again when it links: for the profile runtime, and for what is compiled only then.
        let mut link = compile.clone();
        let words = |text: &str| text.split(' ').map(Arg::from).collect::<Vec<_>>();
        if self.pgo.is_some() {
            compile.extend(words(LOCAL_NAMES));
        }
        if profile.is_some() {
            compile.extend(words(WARN_UNPROFILED));
            compile.push("-Wbackend-plugin".into());
        }
        if self.lto != Lto::Off && is_clang || self.keep_relocations {
            link.push(lld(&compilers, is_clang, cx));
        }
        if self.keep_relocations {
            link.push("-Wl,--emit-relocs".into());
            link.extend(bolt::unpacked(cx).map(Arg::from));
        }
        cx.plan.unfit.extend(UNFIT);
        let reader = profile.as_ref().and(compilers.path.as_deref());
        let reader = reader.and_then(|clang| llvm::profdata_for_clang(cx.facts, clang).ok());
        if let Some(profile) = &profile {
            let major = match compilers.kind {
                Compiler::Clang(major) => major,
                Compiler::Gcc | Compiler::Unknown => None,
            };
            let shown = major.map_or_else(|| "clang".into(), |major| format!("clang {major}"));
            cx.check_profile(profile.clone(), &shown, major, reader.clone())?;
        }
        cx.step(Step::op(
            "wrap-compilers",
            WrapCompilers {
                dir: Arg::from(Symbol::Scratch).join(COMPILERS),
                cc: compilers.c.clone(),
                cxx: compilers.cxx.clone(),
                record: Symbol::Build.into(),
                clang: is_clang,
                compile,
                link,
                profile: profile.clone(),
            },
        ));
        Ok(profile.map(|profile| Used { profile, reader: cx.profile_reader(reader) }))
    }

    /// The environment by which make, configure and meson find the compilers, unless the stage has other words for it.
    pub fn set_up(&self, command: &mut Command, cx: &mut Context) -> Result<(), PlanError> {
        let mut env: BTreeMap<&str, Arg> = BTreeMap::new();
        env.insert("CC", cx.own_compiler(false)?);
        env.insert("CXX", cx.own_compiler(true)?);
        // Archives of LLVM bitcode need an index that only LLVM's archiver writes.
        let clang = self.clang(cx).ok().filter(|_| self.lto != Lto::Off);
        for (variable, name) in [("AR", "llvm-ar"), ("NM", "llvm-nm"), ("RANLIB", "llvm-ranlib")] {
            let found = clang.as_deref().and_then(|clang| llvm::beside(cx.facts, clang, name));
            if let Some(path) = found {
                env.insert(variable, cx.tool_at(name, path));
            }
        }
        if self.instruments() {
            // Programs that the build itself runs would leave profiles of nothing that counts.
            env.insert("LLVM_PROFILE_FILE", "/dev/null".into());
        }
        for (name, value) in env {
            command.env.entry(name.into()).or_insert(value);
        }
        Ok(())
    }

    /// Adds the steps that stand behind the build.
    pub fn end(&self, used: Option<Used>, cx: &mut Context) -> Result<(), PlanError> {
        let keys = self.keys();
        if !keys.is_empty() {
            let check = CheckCompiled {
                record: Symbol::Build.into(),
                built: vec![Symbol::Out.into()],
                keys: keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ").into(),
            };
            cx.step(Step::op("check-compiled", check));
        }
        let Some(Used { profile, reader: Some(tool) }) = used else { return Ok(()) };
        let check = CheckProfileUse {
            step: "run".into(),
            keep: None,
            said: Some(Symbol::Build.into()),
            ..CheckProfileUse::of_all(&profile, &tool)
        };
        cx.check_profile_use(check, self.max_unprofiled.as_ref())
    }
}

/// The flag that chooses lld, which all of it needs.
fn lld(compilers: &Compilers, is_clang: bool, cx: &mut Context) -> Arg {
    let declared = ["ld.lld", "lld"].into_iter().find(|name| cx.pipeline.tools.contains_key(*name));
    let beside = compilers.path.as_deref().filter(|_| declared.is_none());
    if let Some(path) = beside.and_then(|compiler| llvm::beside(cx.facts, compiler, "ld.lld")) {
        cx.tool_at("ld.lld", path);
        return "-fuse-ld=lld".into();
    }
    let tool = cx.tool(declared.unwrap_or("ld.lld"));
    match is_clang && matches!(tool.parts.as_slice(), [Part::Tool { .. }]) {
        true => Arg::from("--ld-path=").with(tool),
        false => "-fuse-ld=lld".into(),
    }
}
