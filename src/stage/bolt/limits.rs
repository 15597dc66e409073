//! What BOLT cannot work on, as far as the declaration of the build says it: told before the build, not by a linker after it.

use crate::pipeline::kind::{Bolt, Cargo, Cmake, cmake::Define};
use crate::pipeline::{Kind, Text};
use crate::stage::{Context, PlanError};

/// Flags with which a linker keeps relocations, however they are handed to it.
const KEEPS: [&str; 3] = ["emit-relocs", "-Wl,-q", "-Wl,--q"];

/// Systems whose files are ELF.
const ELF: [&str; 2] = ["linux", "freebsd"];

/// Refuses the output of a build that llvm-bolt would refuse.
pub(super) fn check(kind: &Bolt, cx: &Context) -> Result<(), PlanError> {
    let Some(stage) = cx.producer(&kind.input)? else { return Ok(()) };
    let (keeps, target) = match &stage.kind {
        Kind::Cargo(cargo) => (cargo.keep_relocations || cargo_keeps(cargo), cargo.target.as_ref()),
        Kind::Cmake(cmake) => (cmake.keep_relocations || cmake_keeps(cmake), None),
        // BOLT's own output, and what any other program made, shows what it is when it is there.
        _ => return Ok(()),
    };
    // Flags of the stage's environment are its author's business, and may be anything.
    let by_env = stage.common.env.values().chain(stage.common.env.get("RUSTFLAGS")).any(is_flag);
    let name = &stage.common.name;
    if !keeps && !by_env && stage.common.pass_env.is_empty() {
        let message = format!(
            "comes from stage `{name}`, which links without relocations, and without them BOLT cannot move functions; give that \
             stage `keep-relocations = true`"
        );
        return Err(cx.invalid("input", message));
    }
    let host = cx.facts.host();
    let target = target.and_then(Text::as_literal).map_or(host, |target| target.into_owned());
    if !ELF.iter().any(|system| target.contains(system)) {
        let message = format!("comes from stage `{name}`, which builds for {target}; BOLT rewrites ELF files only");
        return Err(cx.invalid("input", message));
    }
    if !target.starts_with("x86_64") && !target.starts_with("aarch64") && !target.starts_with("riscv64") {
        let message =
            format!("comes from stage `{name}`, which builds for {target}, a processor that BOLT does not know");
        return Err(cx.invalid("input", message));
    }
    Ok(())
}

fn is_flag(text: &Text) -> bool {
    let text = text.to_string();
    KEEPS.iter().any(|flag| text.contains(flag))
}

fn cargo_keeps(cargo: &Cargo) -> bool {
    cargo.rustflags.iter().chain(&cargo.args).any(is_flag)
}

fn cmake_keeps(cmake: &Cmake) -> bool {
    cmake.define.values().any(|value| matches!(value, Define::Text(text) if is_flag(text)))
}
