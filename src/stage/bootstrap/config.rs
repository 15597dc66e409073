//! The configuration file of `x.py`: the user's own, then what the stage says, then what it needs.
//!
//! Every key that matters is written, because defaults differ between a clone and a tarball. `bootstrap.py` reads some keys from the
//! text of the file line by line, before there is anything that could read TOML: each key stands on a line of its own.

use std::collections::BTreeMap;

use super::{Context, PlanError, Xpy};
use crate::pipeline::kind::{Pgo, bootstrap::BootstrapCommand, bootstrap::Setting};
use crate::plan::{Arg, Command, Step, Symbol};

/// Tables, by their names, `""` for what stands in none, and the lines in them.
#[derive(Debug, Default)]
pub(super) struct Config {
    tables: BTreeMap<Vec<String>, BTreeMap<String, Arg>>,
}

/// The configuration that the stage needs.
pub(super) fn derive(xpy: &Xpy, cx: &mut Context) -> Result<Config, PlanError> {
    let mut config = Config::default();
    defaults(&mut config, xpy);
    for (name, setting) in &xpy.kind.config {
        // A variable that is not given.
        if matches!(setting, Setting::Text(text) if text.as_literal().is_some_and(|text| text.is_empty())) {
            continue;
        }
        let value = match setting {
            Setting::Bool(value) => value.to_string().into(),
            Setting::Integer(number) => number.to_string().into(),
            Setting::Text(text) => quoted(cx.arg(text)?),
            Setting::List(items) => list(items.iter().map(|item| cx.arg(item)).collect::<Result<_, _>>()?),
        };
        config.set(name, value);
    }
    if xpy.kind.llvm_relocations {
        config.set("llvm.ldflags", quoted("-Wl,-q".into()));
    }
    required(&mut config, xpy, cx)?;
    Ok(config)
}

/// What the stage's own `config` can change.
fn defaults(config: &mut Config, xpy: &Xpy) {
    config.set("rust.channel", quoted(xpy.checkout.channel.clone().unwrap_or_else(|| "nightly".into()).into()));
    config.set("rust.lld", "false".into());
    config.set("build.vendor", "false".into());
    config.set("build.submodules", xpy.checkout.git.to_string().into());
    config.set("build.extended", (xpy.kind.command == BootstrapCommand::Dist).to_string().into());
    if !xpy.host.contains("windows") {
        config.set("llvm.link-shared", "true".into());
    }
}

fn required(config: &mut Config, xpy: &Xpy, cx: &mut Context) -> Result<(), PlanError> {
    config.set("build.build", quoted(xpy.build.as_str().into()));
    config.set("build.build-dir", quoted(xpy.build_dir()));
    config.set("build.metrics", "true".into());
    config.set("llvm.download-ci-llvm", "false".into());
    config.set("rust.download-rustc", "false".into());
    if matches!(xpy.kind.pgo.rustc, Some(Pgo::Generate)) {
        config.set("build.profiler", "true".into());
    }
    for (key, text) in [("rustc", &xpy.kind.rustc), ("cargo", &xpy.kind.cargo)] {
        if let Some(text) = text {
            let program = cx.program(text)?;
            config.set(&format!("build.{key}"), quoted(program));
        }
    }
    let target = format!("target.{}", xpy.build);
    let (cc, cxx) = match super::compilers(xpy.kind, cx) {
        Ok((cc, cxx)) => (cx.tool_at("clang", cc), cx.tool_at("clang++", cxx)),
        Err(gap) => {
            cx.gap(gap.what, gap.remedy);
            ("clang".into(), "clang++".into())
        }
    };
    config.set(&format!("{target}.cc"), quoted(cc.clone()));
    config.set(&format!("{target}.cxx"), quoted(cxx));
    config.set(&format!("{target}.linker"), quoted(cc));
    if let Some(llvm_config) = &xpy.llvm_config {
        config.set(&format!("{target}.llvm-config"), quoted(llvm_config.clone()));
    }
    Ok(())
}

impl Config {
    fn set(&mut self, name: &str, value: Arg) {
        let mut table: Vec<String> = name.split('.').map(String::from).collect();
        let key = table.pop().unwrap_or_default();
        self.tables.entry(table).or_default().insert(key, value);
    }

    fn lines(&self) -> Vec<Arg> {
        let mut lines = Vec::new();
        for (table, entries) in &self.tables {
            if !table.is_empty() {
                lines.push(format!("[{}]", table.join(".")).into());
            }
            lines.extend(entries.iter().map(|(key, value)| Arg::from(format!("{key} = ")).with(value.clone())));
        }
        lines
    }

    /// Adds the step that writes the file.
    pub fn write(&self, xpy: &Xpy, cx: &mut Context) {
        let argv = ["printf".into(), "%s\\n".into()].into_iter().chain(self.lines()).collect();
        let command = Command { stdout: Some(xpy.config.clone()), ..cx.command(argv) };
        cx.step(Step::command("config", Command { cwd: Symbol::Build.into(), ..command }));
    }
}

/// A string of TOML. What stands in it is taken as it is.
fn quoted(text: Arg) -> Arg {
    Arg::from("\"").with(text).with("\"")
}

fn list(items: Vec<Arg>) -> Arg {
    let mut list = Arg::from("[");
    for (index, item) in items.into_iter().enumerate() {
        list = list.with(if index > 0 { ", " } else { "" }).with(quoted(item));
    }
    list.with("]")
}
