use super::{Context, PlanError};
use crate::pipeline::kind::Gather;

pub(super) fn plan(_kind: &Gather, _cx: &mut Context) -> Result<(), PlanError> {
    Ok(())
}
