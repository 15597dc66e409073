//! What `cargo bench` and `cargo test` print, with programs that do something and without.

use optbuild::op::harness::ran_something;

const NOTHING: &str = "   Compiling app v0.1.0 (/w/app)
    Finished `bench` profile [optimized] target(s) in 0.52s
     Running unittests src/lib.rs (target/release/deps/app-2b0ccc4ce0f1b4f7)

running 2 tests
test tests::one ... ignored
test tests::two ... ignored

test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running unittests src/main.rs (target/release/deps/app-93b1dc0d4f0b2a5c)

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

";

/// With what cargo says on standard error behind all that programs say.
fn apart(log: &str) -> String {
    let of_cargo =
        |line: &&str| ["Running ", "Doc-tests ", "Compiling "].iter().any(|word| line.trim().starts_with(word));
    let (cargo, programs): (Vec<&str>, Vec<&str>) = log.lines().partition(of_cargo);
    [programs, cargo].concat().join("\n")
}

#[test]
fn programs_that_have_nothing_to_do() {
    assert!(!ran_something(NOTHING));
    assert!(!ran_something(&apart(NOTHING)));
    assert!(!ran_something("    Finished `bench` profile [optimized] target(s) in 0.52s\n"));
    // They run, and are no programs of the build.
    let documentation = "   Doc-tests app\n\nrunning 1 test\ntest src/lib.rs - f (line 3) ... ok\n\n\
                         test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s\n";
    assert!(!ran_something(&format!("{NOTHING}{documentation}")));
    assert!(!ran_something(&apart(&format!("{NOTHING}{documentation}"))));
}

#[test]
fn programs_that_do_something() {
    let measured = "     Running benches/old.rs (target/release/deps/old-1f)\n\nrunning 1 test\ntest sum ... bench: 12 ns/iter (+/- 1)\n\n\
                    test result: ok. 0 passed; 0 failed; 0 ignored; 1 measured; 0 filtered out; finished in 1.02s\n";
    let tested = "     Running tests/it.rs (target/release/deps/it-1f)\n\nrunning 2 tests\n..\n\
                  test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s\n";
    // With a harness of its own, as criterion's are.
    let own = "     Running benches/sums.rs (target/release/deps/sums-1f)\nsum                     time:   [12.0 ns 12.1 ns 12.2 ns]\n";
    for does in [measured, tested, own] {
        assert!(ran_something(does), "{does}");
        assert!(ran_something(&format!("{NOTHING}{does}")), "{does}");
        assert!(ran_something(&format!("{does}{NOTHING}")), "{does}");
        assert!(ran_something(&apart(&format!("{NOTHING}{does}"))), "{does}");
    }
}
