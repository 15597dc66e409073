use super::{Context, PlanError};
use crate::pipeline::kind::Bolt;

pub(super) fn plan(_kind: &Bolt, _cx: &mut Context) -> Result<(), PlanError> {
    Ok(())
}
