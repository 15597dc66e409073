//! What llvm-bolt prints, as optbuild reads it.

use std::fs;

use camino::Utf8PathBuf;
use optbuild::op::bolt::{Said, said};
use optbuild::op::bolt_statistics::Statistics;
use optbuild::plan::ops::given::BoltStatistics;

// Parts of what llvm-bolt 22 printed of SQLite.
const LOG: &str = "\
BOLT-INFO: Target architecture: x86_64
BOLT-WARNING: function sqlite3RollbackAll/1(*2) has an object detected in a padding region at address 0x10cbbf
BOLT-INFO: 841 out of 1974 functions in the binary (42.6%) have non-empty execution profile
BOLT-INFO: 14 functions with profile could not be optimized
BOLT-INFO: ICF folded 6 out of 2085 functions in 3 passes. 0 functions had jump tables.
BOLT-INFO: basic block reordering modified layout of 545 functions (64.80% of profiled, 26.21% of total)
BOLT-INFO: splitting separates 538279 hot bytes from 593606 cold bytes (47.56% of split functions is hot).
BOLT-INFO: splitting separates 172463 hot bytes from 327891 cold bytes (34.47% of split functions is hot).
BOLT-INFO: program-wide dynostats after all optimizations before SCTC and FOP:

           886538315 : executed forward branches
            19202482 : PLT calls
                   0 : taken unknown indirect branches
           299341538 : taken branches

           715058460 : executed forward branches (-19.3%)
            19202482 : PLT calls (=)
                   0 : taken unknown indirect branches (=)
           239205768 : taken branches (-20.1%)

BOLT-INFO: SCTC: patched 23 tail calls (23 forward) tail calls (0 backward) from a total of 23
BOLT-INFO: setting __hot_start to 0x1bb000
BOLT-INFO: setting __hot_end to 0x246e6d
           12345 : is no statistic
";

fn facts_of(log: &str) -> Vec<(String, f64, String)> {
    let mut statistics = Statistics::default();
    log.lines().for_each(|line| statistics.add(line.trim()));
    statistics.facts().into_iter().map(|fact| (fact.name, fact.value, fact.unit)).collect()
}

#[test]
fn what_llvm_bolt_22_says() {
    let facts = facts_of(LOG);
    let value = |name: &str| facts.iter().find(|fact| fact.0 == name).map(|fact| fact.1);
    assert_eq!(value("bolt/functions"), Some(1974.0));
    assert_eq!(value("bolt/functions with a profile"), Some(841.0));
    assert_eq!(value("bolt/functions with a profile that could not be optimized"), Some(14.0));
    assert_eq!(value("bolt/functions folded into equal ones"), Some(6.0));
    assert_eq!(value("bolt/functions with another layout"), Some(545.0));
    assert_eq!(value("bolt/hot code of split functions"), Some(172_463.0));
    // 0x246e6d - 0x1bb000
    assert_eq!(value("bolt/hot code"), Some(573_037.0));
    assert_eq!(value("dyno-before/taken branches"), Some(299_341_538.0));
    assert_eq!(value("dyno-after/taken branches"), Some(239_205_768.0));
    assert_eq!(facts.iter().filter(|fact| fact.0.starts_with("dyno-")).count(), 8);
}

#[test]
fn anything_else_is_no_statistics() {
    assert_eq!(
        facts_of("BOLT-ERROR: no relocations\n  12 : taken branches\nBOLT-INFO: x out of y functions in the binary\n"),
        []
    );
    assert_eq!(facts_of("BOLT-INFO: program-wide dynostats\n 99999999999999999999999 : taken branches\n : \n"), []);
    assert_eq!(facts_of("BOLT-INFO: setting __hot_end to 0x1\nBOLT-INFO: setting __hot_start to zero\n"), []);
}

#[test]
fn the_last_log_of_the_step() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
    let op = BoltStatistics { logs: logs.clone(), step: "bolt".into() };
    assert_eq!(op.run().unwrap(), []);
    fs::write(logs.join("09-bolt.log"), "BOLT-INFO: ICF folded 1 out of 2 functions\n").unwrap();
    fs::write(logs.join("10-bolt.log"), "BOLT-INFO: ICF folded 3 out of 4 functions\n\u{0}").unwrap();
    fs::write(logs.join("11-check-bolt.log"), "BOLT-INFO: ICF folded 5 out of 6 functions\n").unwrap();
    fs::write(logs.join("x-bolt.log"), "").unwrap();
    fs::write(logs.join("12-bolt.facts"), "").unwrap();
    let facts = op.run().unwrap();
    assert_eq!((facts.len(), facts[0].value), (1, 3.0));
}

// What llvm-bolt 22 prints for a program whose hot function was changed, for one that has nothing in common with its
// profile, and for one that fits.
const CHANGED: &str = "\
BOLT-INFO: 7 out of 10 functions in the binary (70.0%) have non-empty execution profile
BOLT-WARNING: 1 (14.3% of all profiled) function have invalid (possibly stale) profile. Use -report-stale to see the list.
BOLT-WARNING: 9330000 out of 9530010 samples in the binary (97.9%) belong to functions with invalid (possibly stale) profile.
";
const OTHER: &str = "BOLT-INFO: 0 out of 10 functions in the binary (0.0%) have non-empty execution profile\n";
const FITS: &str = "BOLT-INFO: 10 out of 14 functions in the binary (71.4%) have non-empty execution profile\n";

#[test]
fn what_llvm_bolt_prints() {
    assert_eq!(said(CHANGED), Said { functions: Some(7), stale: 9330000.0 / 9530010.0 });
    assert_eq!(said(OTHER), Said { functions: Some(0), stale: 0.0 });
    assert_eq!(said(FITS), Said { functions: Some(10), stale: 0.0 });
}
