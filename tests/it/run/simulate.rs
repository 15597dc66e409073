//! `optbuild plan --simulate`. All expected times are calculated by hand from those of the file.

use crate::support::{Test, stage};

/// Two halves of a workspace each, which meet: `a1` and `a2` change one directory, `b1` and `b2` another one.
fn halves() -> Test {
    let half = |name: &str, workspace: &str| {
        stage(name, &format!("workspace = '{workspace}'\noutputs = {{ o = 'o' }}"), "echo > ${self.out}/o")
    };
    let end = stage("end", "", "cat ${a2.o} ${b2.o}");
    let test = Test::new([half("a1", "a"), half("a2", "a"), half("b1", "b"), half("b2", "b"), end]);
    let times = "slots = 4\n[stages]\na1 = '10m'\na2 = '20m'\nb1 = '5m'\nb2 = '30m'\nend = '1m'\n";
    std::fs::write(test.dir.join("times.toml"), times).unwrap();
    test
}

#[test]
fn on_one_machine_stages_that_take_all_of_it_run_in_turn() {
    let test = halves();
    let ran = test.cmd("plan p.toml --simulate --cores 4 --times times.toml").ok();
    let _ = ran.out("one stage after the other: 1 h 06 m").out("1 machine of 4 slots: 1 h 06 m, 100 % of that");
}

#[test]
fn on_two_machines_each_workspace_stays_where_it_is() {
    let test = halves();
    let ran = test.cmd("plan p.toml --simulate --cores 4 --machines 2 --times times.toml").ok();
    // 5 + 30 + 1 minutes, of 66.
    let _ = ran
        .out("2 machines of 4 slots each: 36 m 00 s, 55 % of that")
        .out("the end waits for (*): b1 5 m 00 s → b2 30 m 00 s → end 1 m 00 s");
}

#[test]
fn shares_of_one_machine_run_side_by_side() {
    let test = halves();
    let half: String = std::fs::read_to_string(test.dir.join("p.toml")).unwrap();
    std::fs::write(test.dir.join("p.toml"), half.replace("workspace =", "jobs = '50%'\nworkspace =")).unwrap();
    let ran = test.cmd("plan p.toml --simulate --cores 4 --times times.toml").ok();
    let _ = ran.out("1 machine of 4 slots: 36 m 00 s, 55 % of that");
    let wrong = half.replace("workspace = 'a'", "jobs = '0%'\nworkspace = 'a'");
    std::fs::write(test.dir.join("p.toml"), wrong).unwrap();
    let _ = test.cmd("plan p.toml --simulate").code(2).err("a stage takes at least one slot");
    let wrong = half.replace("workspace = 'a'", "jobs = 'half'\nworkspace = 'a'");
    std::fs::write(test.dir.join("p.toml"), wrong).unwrap();
    let _ = test.cmd("plan p.toml --simulate").code(2).err("`half` is not a share; write it as `1%`");
}

/// 16 minutes of work in 10 on two slots: by Amdahl's law 4 of them are of one processor, and 12 are shared. On four that is 4 + 3.
#[test]
fn more_cores_take_what_is_shared_off() {
    let test = Test::new([stage("all", "", "true")]);
    let times = "slots = 2\n[stages]\nall = { wall = '10m', cpu = '16m' }\n";
    std::fs::write(test.dir.join("times.toml"), times).unwrap();
    for (cores, takes) in [("1", "16 m 00 s"), ("2", "10 m 00 s"), ("4", "7 m 00 s")] {
        let ran = test.cmd(&format!("plan p.toml --simulate --cores {cores} --times times.toml")).ok();
        let _ = ran.out(&format!("{takes}, 100 % of that"));
    }
}

#[test]
fn times_of_records_and_times_that_are_not_there() {
    let test = halves();
    let _ = test.cmd("plan p.toml --simulate").code(2).err("run the pipeline once, or name a file with `--times`");
    let _ = test.run("--until a2").ok();
    let ran = test.cmd("plan p.toml --simulate").ok().out("times: of the last runs here");
    let _ = ran.out("no time is known of b1, b2, end: here they take none");
    std::fs::write(test.dir.join("times.toml"), "slots = 2\n[stages]\nand = '1s'\n").unwrap();
    let refused = test.cmd("plan p.toml --simulate --times times.toml").code(2);
    let _ = refused.err("has no stage `and`; did you mean `end`?");
    let _ = test.cmd("plan p.toml --simulate --from a1").code(2).err("nothing that selects some makes sense with it");
}
