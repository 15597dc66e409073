use super::{Context, PlanError};
use crate::pipeline::kind::Cmake;

pub(super) fn plan(_kind: &Cmake, _cx: &mut Context) -> Result<(), PlanError> {
    Ok(())
}
