use super::{Context, PlanError};
use crate::pipeline::kind::Cargo;

pub(super) fn plan(_kind: &Cargo, _cx: &mut Context) -> Result<(), PlanError> {
    Ok(())
}
