//! The commands that install what a machine lacks. Runs nothing.

use super::doctor::{DoctorRow, Status};
use super::packages::Manager;
use crate::facts::Facts;

/// Commands that install the packages of all tools that are missing or too old, to be run in order; none if no package is
/// known for any of them. Optional tools are not installed.
pub fn install_command(facts: &Facts, rows: &[DoctorRow]) -> Option<Vec<Vec<String>>> {
    let lacking = rows.iter().filter(|row| matches!(row.status, Status::Missing | Status::TooOld));
    let mut packages: Vec<String> = lacking.filter_map(|row| row.package.clone()).collect();
    packages.sort();
    packages.dedup();
    if packages.is_empty() {
        return None;
    }
    let manager = Manager::of(facts);
    let mut commands = Vec::new();
    if manager == Manager::Apt {
        commands.push(vec!["apt-get".into(), "update".into()]);
    }
    commands.push(manager.install().iter().map(ToString::to_string).chain(packages).collect());
    // Homebrew refuses to run as root.
    if manager != Manager::Brew && !is_root(facts) && facts.program("sudo").is_some() {
        commands.iter_mut().for_each(|command: &mut Vec<String>| command.insert(0, "sudo".into()));
    }
    Some(commands)
}

fn is_root(facts: &Facts) -> bool {
    facts.output(&["id", "-u"]).is_some_and(|id| id.trim() == "0")
}
