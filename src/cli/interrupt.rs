//! What signals mean for a run: end it in good order, end it at once, pause it, go on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::exit::INTERRUPTED;
use crate::run::control::{Control, GRACE};
use crate::run::signals::{self, Signal};

/// From here on signals end or pause the run instead of this process. As long as the run has not begun there is nothing to put
/// in order: an interrupt exits.
pub fn install(control: &Arc<Control>) -> Result<()> {
    let received = signals::install().context("signals cannot be handled")?;
    let control = Arc::clone(control);
    std::thread::spawn(move || {
        for signal in received {
            match signal {
                Signal::Interrupt(_) if !control.has_begun() => std::process::exit(INTERRUPTED.into()),
                Signal::Interrupt(_) => control.interrupt(GRACE),
                // Whoever asks twice does not want to wait.
                Signal::Kill => control.interrupt(Duration::ZERO),
                Signal::Pause => {
                    control.pause(true);
                    if let Err(error) = signals::stop_self() {
                        tracing::warn!("cannot stop: {error}");
                    }
                }
                Signal::Continue => control.pause(false),
            }
        }
    });
    Ok(())
}
