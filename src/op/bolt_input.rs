//! What llvm-bolt cannot do with a file, by its version: told when the file is there, before a program is trained for hours.
//!
//! | file | llvm-bolt | what comes of it |
//! |---|---|---|
//! | static, position-independent; instrumented | before 23 | it never writes a profile |
//! | static; instrumented | 22 | the same: nothing in it calls what llvm-bolt has added |
//! | static; instrumented | any, without `-instrumentation-sleep-time` | llvm-bolt refuses it |
//! | nothing runs at its end; instrumented | before 22, later ones without that option | llvm-bolt refuses it |
//! | packed relative relocations | before 17 | what calls a function by an address in data runs the old one |
//! | some packed, some not | before 23 | `Offset overflow`, or damage: all are packed, those at odd addresses as well |
//! | packed relative relocations | before 23 | blocks that only they lead to are taken for dead |
//!
//! llvm-project's issues and changes: 201371 and 204475, 167467, 170086, 206612, 206830. Unaware of how the file was built.

use anyhow::{Result, bail};

use crate::event::Fact;
use crate::plan::ops::given::CheckBoltInput;
use crate::profile::linked::{Linked, Start};

/// The first llvm-bolt that instruments static position-independent executables.
const STATIC_PIE: u64 = 23;
/// The one that has forgotten how to instrument those at a fixed address, as 16 and 19 do.
const NO_STATIC: u64 = 22;
/// The first that needs nothing which runs at the end of a file that writes profiles while it runs.
const NO_END: u64 = 22;
/// The first that knows of packed relative relocations, and the first that does them justice.
const PACKED: u64 = 17;
const PACKED_WELL: u64 = 23;

/// The option with which an instrumented file writes profiles while it runs.
const SLEEP: &str = "-instrumentation-sleep-time=1";

impl CheckBoltInput {
    /// What this llvm-bolt cannot do with the file.
    ///
    /// # Errors
    /// It would fail, or break the file; the message has the way out.
    pub(super) fn within_reach(&self) -> Result<Vec<Fact>> {
        let file = &self.file;
        let Some(linked) = Linked::read(file)? else {
            bail!("{file} is not a 64-bit ELF executable or shared library, the only files that BOLT rewrites here");
        };
        if self.instrument {
            self.writes_profiles(&linked)?;
        }
        self.relocations(&linked)
    }

    /// An llvm-bolt of unknown version may be a new one.
    fn is_before(&self, major: u64) -> bool {
        self.llvm.is_some_and(|llvm| llvm < major)
    }

    fn bolt(&self) -> String {
        self.llvm.map_or_else(|| "llvm-bolt".into(), |major| format!("llvm-bolt {major}"))
    }

    fn writes_profiles(&self, linked: &Linked) -> Result<()> {
        let (file, bolt, what) = (&self.file, self.bolt(), linked.start.words());
        let sleep = format!("`extra-options = [\"{SLEEP}\"]` in the stage makes it write one every second instead");
        let dynamic = "Link it with shared libraries (`-static` out; rust: `-Ctarget-feature=-crt-static`)";
        let sample = "gather with `method = \"sampling\"`";
        match linked.start {
            Start::StaticPie if self.is_before(STATIC_PIE) => bail!(
                "{file} is {what}, and {bolt} instruments such a file so that it never writes a profile. {dynamic}; or {sample}; or take \
                 llvm-bolt {STATIC_PIE}"
            ),
            Start::Static if self.llvm == Some(NO_STATIC) => bail!(
                "{file} is {what}, and {bolt} instruments such a file so that it never writes a profile. {dynamic}; or {sample}; or take \
                 an older llvm-bolt, such as 19"
            ),
            Start::Static | Start::StaticPie if !self.sleeps => bail!(
                "{file} is {what}, in which nothing that llvm-bolt could use runs at the end, when a profile is written: {sleep}. {dynamic}; \
                 or {sample}"
            ),
            Start::Executable | Start::Pie | Start::Library if !linked.runs_at_end && self.is_before(NO_END) => bail!(
                "{file} has neither DT_FINI nor DT_FINI_ARRAY, so nothing runs at its end, when a profile is written, and {bolt} \
                 refuses it. Link it with the C library's start files (no `-nostartfiles`); or {sample}; or take llvm-bolt {NO_END}, \
                 with `extra-options = [\"{SLEEP}\"]`"
            ),
            Start::Executable | Start::Pie | Start::Library if !linked.runs_at_end && !self.sleeps => bail!(
                "{file} has neither DT_FINI nor DT_FINI_ARRAY, so nothing runs at its end, when a profile is written. {sleep}; or {sample}"
            ),
            _ => Ok(()),
        }
    }

    fn relocations(&self, linked: &Linked) -> Result<Vec<Fact>> {
        let (file, bolt, plain) = (&self.file, self.bolt(), linked.relative.plain);
        let unpacked = "Link it without them: `-Wl,-z,nopack-relative-relocs` behind all other flags of the linker, as a cmake stage with \
                        `keep-relocations = true` does it by itself";
        if !linked.relative.packed {
            return Ok(Vec::new());
        }
        if self.is_before(PACKED) {
            return Ok(vec![Fact::warning(format!(
                "{file} has packed relative relocations (RELR), which {bolt} does not know: whatever is called by an address in data runs \
                 the old code. {unpacked}; or take llvm-bolt {PACKED_WELL}"
            ))]);
        }
        if self.is_before(PACKED_WELL) && plain > 0 {
            bail!(
                "{file} has packed relative relocations (RELR) and {plain} that cannot be packed, such as at odd addresses, and {bolt} \
                 packs all of them: it fails with `Offset overflow`, or the result does. {unpacked}; or take llvm-bolt {PACKED_WELL}"
            );
        }
        let warning = self.is_before(PACKED_WELL).then(|| {
            Fact::warning(format!(
                "{file} has packed relative relocations (RELR), and {bolt} takes code for dead to which only they lead: that of \
                 computed gotos, as interpreters have them. {unpacked}; or take llvm-bolt {PACKED_WELL}"
            ))
        });
        Ok(warning.into_iter().collect())
    }
}
