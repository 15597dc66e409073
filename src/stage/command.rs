use super::{Context, PlanError};
use crate::pipeline::kind::Command;

pub(super) fn plan(_kind: &Command, _cx: &mut Context) -> Result<(), PlanError> {
    Ok(())
}
