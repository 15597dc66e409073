//! The list of the processes that a command started.

use optbuild::plan::census::{Ending, Seen, read};
use optbuild::run::process::{Launch, Process};

use super::support::Place;
use crate::support::OPTBUILD;
use crate::support::processes::in_own_process;

/// A script that can wait until the list has something in it.
const SEEN: &str = "seen() { until grep -q \"$1\" list; do sleep 0.02; done; }\n";

fn listed(place: &Place, script: &str, grace: u64) -> Vec<Seen> {
    let launch = Launch {
        census: Some(place.dir.join("list")),
        grace: std::time::Duration::from_secs(grace),
        ..place.launch(&["bash", "-c", &format!("{SEEN}{script}")])
    };
    let exit = Process::start(OPTBUILD.into(), &launch).unwrap().wait();
    assert!(exit.success(), "{exit:?}: {}", place.log());
    read(&place.dir.join("list")).unwrap()
}

fn of_program<'s>(seen: &'s [Seen], name: &str) -> Vec<&'s Seen> {
    seen.iter().filter(|process| process.files.program.file_name() == Some(name)).collect()
}

#[test]
fn who_lived_and_how_it_ended() {
    in_own_process(|| {
        let place = Place::new();
        // A child of the command, whose status the command takes; and one that is left over.
        let script = "sleep 300 & a=$!; seen \"\\\"id\\\":.$a,\"; kill $a; wait $a; (sleep 400 & echo $! > pid); \
                      seen \"\\\"id\\\":.$(cat pid),\"; echo $a >> pid";
        let seen = listed(&place, script, 600);
        let pids: Vec<u32> =
            std::fs::read_to_string(place.dir.join("pid")).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        let ended = |pid: u32| {
            let found: Vec<&Seen> =
                of_program(&seen, "sleep").into_iter().filter(|process| process.pids == [pid]).collect();
            assert_eq!(found.len(), 1, "{pid}: {seen:?}");
            assert!(!found[0].forked);
            let libraries = found[0].files.mapped.iter();
            assert!(
                libraries.clone().any(|file| file.file_name().is_some_and(|name| name.starts_with("libc"))),
                "{found:?}"
            );
            found[0].how
        };
        assert_eq!(ended(pids[0]), Ending::Signal(15));
        assert_eq!(ended(pids[1]), Ending::Unknown);
        assert_eq!(of_program(&seen, "bash")[0].how, Ending::Code(0));
    });
}

#[test]
fn what_ignores_sigterm_is_too_slow() {
    in_own_process(|| {
        let place = Place::new();
        let script = "(trap '' TERM; echo $BASHPID > pid; while :; do sleep 0.1; done) & until [ -s pid ]; do sleep 0.02; done; \
                      seen \"\\\"id\\\":.$(cat pid),.*forked\\\":true\"";
        let seen = listed(&place, script, 1);
        let pid: u32 = std::fs::read_to_string(place.dir.join("pid")).unwrap().trim().parse().unwrap();
        let shell = of_program(&seen, "bash").into_iter().find(|process| process.pids == [pid]).unwrap();
        assert_eq!((shell.forked, shell.how), (true, Ending::TooSlow));
    });
}

/// A supervisor that is killed leaves half a line.
#[test]
fn what_is_no_line_is_passed_over() {
    let place = Place::new();
    let list = place.dir.join("list");
    let text = "{\"files\":{\"list\":0,\"files\":{\"program\":\"/bin/a\",\"mapped\":[\"/bin/a\"]}}}\n\
                {\"process\":{\"id\":[7,1],\"pids\":[7],\"list\":0,\"forked\":false}}\n\
                {\"process\":{\"id\":[8,1],\"pids\":[8],\"list\":9,\"forked\":false}}\n\
                {\"ended\":{\"id\":[7,1],\"how\":{\"signal\":9}}}\n{\"ended\":{\"id\":[7,";
    std::fs::write(&list, text).unwrap();
    let seen = read(&list).unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].files.program.as_str(), seen[0].how), ("/bin/a", Ending::Signal(9)));
    assert!(read(&place.dir.join("none")).is_err());
}
