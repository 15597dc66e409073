//! cargo packages as people have them: what the environment sets, libraries that programs in other languages use, names that are not
//! unique, and what is said early.

use crate::support::Test;
use crate::support::real::{artifact, calls, empty, has, has_not, sections, sh};

const APP: &str = "[package]\nname = 'app'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\n";
const MAIN: &str = "
#[inline(never)]
fn step(sum: u64, n: u64) -> u64 { sum.wrapping_mul(31) ^ n }
fn main() {
    let end = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    println!(\"{} {} {}\", env!(\"APP_BUILD_ID\"), cfg!(of_the_user), (0..end).fold(0, step));
}
";

/// A package in `w` whose build needs a variable.
fn package() -> Test {
    let test = empty("").file("w/Cargo.toml", APP).file("w/src/main.rs", MAIN);
    let _ = sh(&test.path("w"), "cargo generate-lockfile --offline 2>&1");
    test
}

const RUN: &str = "run cargo --set manifest=w --set bin=app --set bolt=false";

#[test]
fn what_the_environment_sets_is_said_and_passed_on() {
    let test = package().env("APP_BUILD_ID", "b7").env("RUSTFLAGS", "--cfg of_the_user").env("CORPUS", "6400");
    let train = "--set 'train=app $CORPUS' --set 'measure=app $CORPUS; app 7' --set budget=2s";
    let refused = test.cmd(&format!("{RUN} {train}")).code(1);
    let stages = "the stages `plain`, `instrumented`, `pgo-build`";
    let refused =
        refused.err(&format!("note: `RUSTFLAGS` is set here, and {stages} do not see it: `--set pass-env=RUSTFLAGS`"));
    let refused = refused
        .err("note: `CORPUS` is set here, and the stages `pgo-profile`, `measured-profile`, `compare` do not see it");
    let _ = refused.err("the build does not see `APP_BUILD_ID`: set it in your environment, and `--set pass-env=APP_BUILD_ID` passes it on");

    let passed = "--set pass-env=APP_BUILD_ID,RUSTFLAGS,CORPUS";
    let ran = test.cmd(&format!("{RUN} {train} {passed}")).ok().no_err("is set here");
    assert!(ran.stderr.contains("compare"), "{}", ran.stderr);
    // The fold calls it once for each number.
    assert_eq!(calls(&artifact(&test, "pgo-profile.profile"), "app4step", ""), 6400);
    assert!(sh(&test.dir, "out/cargo/bin/app 1").starts_with("b7 true "), "built as the user builds");
}

#[test]
fn the_target_of_cargos_configuration_is_said() {
    let test = package().file("w/.cargo/config.toml", "[build]\ntarget = 'x86_64-unknown-linux-musl'\n");
    let plan = |more: &str| test.cmd(&format!("{} --set train=app {more}", RUN.replacen("run", "plan", 1))).ok();
    let host = optbuild::facts::Facts::live().host();
    let said = format!(
        "is `x86_64-unknown-linux-musl`, and the stages `plain`, `instrumented`, `pgo-build` build for `{host}`"
    );
    let _ = plan("").err("`build.target` in ").err(&said).err("`--set target=x86_64-unknown-linux-musl`");
    let asked = plan("--set target=x86_64-unknown-linux-musl").no_err("build.target");
    let _ = asked.out("--target x86_64-unknown-linux-musl ");
    let other = package().env("CARGO_BUILD_TARGET", "wasm32-wasip1");
    let _ = other
        .cmd(&format!("{} --set train=app", RUN.replacen("run", "plan", 1)))
        .ok()
        .err("`CARGO_BUILD_TARGET` is `wasm32-wasip1`");
}

/// The first command that a new user types.
#[test]
fn doctor_without_a_program() {
    let test = empty("");
    let _ = test.cmd("doctor cargo").ok().out("LLVM of rustc").out("llvm-bolt").err("when `bin` is set as well");
    // What cannot be meant is said behind the table.
    let _ = test.cmd("doctor cargo --set bin=app").code(2).out("llvm-bolt").err("either `manifest` or `crate`");
}

#[test]
fn a_program_of_two_members() {
    let member = |name: &str| {
        format!(
            "[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n[[bin]]\nname = 'tool'\npath = 'main.rs'\n"
        )
    };
    let test = empty("").file("w/Cargo.toml", "[workspace]\nmembers = ['m/*']\n");
    for name in ["one", "two"] {
        test.write(&format!("w/m/{name}/Cargo.toml"), &member(name));
        test.write(&format!("w/m/{name}/main.rs"), &format!("fn main() {{ println!(\"{name}\") }}\n"));
    }
    let _ = sh(&test.path("w"), "cargo generate-lockfile --offline 2>&1");
    let plan = |more: &str| test.cmd(&format!("plan cargo --set manifest=w --set train=tool {more}"));
    let _ = plan("--set bin=tool")
        .code(2)
        .err("`tool` is a program of the packages `one`, `two`: name one, as `--set package=one`");
    let _ = plan("--set bin=tool --set package=two").ok();
    let _ = plan("--set bin=rg").code(2).err("the packages `one`, `two` have no program `rg`: there is `tool`");
    // A relative path with `..`, and the member's own directory.
    let _ = test.cmd_in("w/m/one", "plan cargo --set manifest=../two --set bin=tool --set train=tool").ok();
}

#[test]
fn a_pipeline_that_extends_a_shipped_one() {
    let own = "extends = 'cargo'\n[vars]\nmanifest = 'w'\nbin = 'app'\ntrain = ['app 5']\nbolt = false\npass-env = ['APP_BUILD_ID']\n";
    let test = package().file("own.toml", own).env("APP_BUILD_ID", "b8");
    let _ = test.cmd("plan own.toml").ok().out("--manifest-path [DIR]/w/Cargo.toml").out("--bin app");
    test.write("pipelines/mine.toml", &own.replace("'w'", "'../w'"));
    let _ = test.cmd("list").ok().out("mine");
    let _ = test.cmd("plan mine --state-dir s").ok().out("--bin app");
    test.write("wrong.toml", "extends = 'carg'\n");
    let _ = test.cmd("plan wrong.toml").code(2).err("there is no pipeline `carg`").err("did you mean `cargo`?");
}

/// A second program takes the place of the first one, and that is said.
#[test]
fn what_another_run_had_put_in_place() {
    let script = "mkdir -p ${self.out}/bin && echo x > ${self.out}/bin/${program}";
    let stage = format!("[[stage]]\nname = 's'\nkind = 'command'\nshell = true\nrun = '{script}'\n");
    let test = Test::new(["name = 'p'\n[vars]\nprogram = 'fd'\n[outputs]\nbin = '${s.out}/bin'\n".to_owned(), stage]);
    let _ = test.run("").ok().no_err("in place of");
    let _ = test.run("").ok().no_err("in place of");
    let _ = test
        .run("--set program=rg")
        .ok()
        .err("note: in place of what another run had put there: out/p/bin/fd. The same command");
    assert!(test.exists("out/p/bin/rg") && !test.exists("out/p/bin/fd"));
    test.run("").runs("");
    assert!(test.exists("out/p/bin/fd"), "put back without building");
}

/// The example of docs/cargo.md, word by word: a library in Rust, trained by a program in C, with PGO, then BOLT.
#[test]
fn a_library_that_a_program_in_c_uses() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cargo.md")).unwrap();
    let block = |start: &str| {
        let from = docs.find(start).unwrap_or_else(|| panic!("no {start} in docs/cargo.md"));
        docs[from..].split("\n```").next().unwrap().to_owned()
    };
    let test = empty("").file("library.toml", &block("# library.toml\n")).file("driver.c", &block("/* driver.c */\n"));
    test.write("sums/Cargo.toml", "[package]\nname = 'sums'\nversion = '0.1.0'\nedition = '2021'\n[lib]\ncrate-type = ['cdylib', 'staticlib']\n[workspace]\n");
    test.write(
        "sums/src/lib.rs",
        "
#[inline(never)]
fn step(sum: u64, n: u64) -> u64 { if n % 64 == 63 { sum.rotate_left(7) } else { sum.wrapping_mul(31) ^ n } }
#[unsafe(no_mangle)]
pub extern \"C\" fn sums(end: u64) -> u64 { (0..end).fold(0, step) }
",
    );
    let _ = sh(&test.path("sums"), "cargo generate-lockfile --offline 2>&1");
    let _ = test.cmd("run library.toml").ok();
    has(&sections(&test.path("out/library/libsums.so")), ".bolt.org.text");
    has_not(&sections(&test.path("out/library/libsums.so")), "__llvm_prf_cnts");
    assert!(
        test.read("out/library/comparison.md").contains("| driver |"),
        "{}",
        test.read("out/library/comparison.md")
    );

    // The static library, in a program whose linker takes nothing out of it that nobody asks for.
    let gather = |flags: &str| {
        format!(
            "[[stage]]\nname = 'lib'\nkind = 'cargo'\nmanifest = 'sums'\nlibs = ['sums']\npgo = 'generate'\n\
             [[stage]]\nname = 'driver'\nkind = 'command'\nrun = ['clang-22', '-O1', '${{pipeline.dir}}/driver.c', \
             '${{lib.out}}/lib/libsums.a', '-o', '${{self.out}}/driver'{flags}]\noutputs = {{ program = 'driver' }}\n\
             [[stage]]\nname = 'profile'\nkind = 'gather'\ninstrumented = '${{driver.program}}'\n\
             workloads = [{{ name = 'w', run = ['{{program}}', '640'] }}]\n"
        )
    };
    test.pipeline([gather("")]);
    let _ =
        test.run("--state-dir static").code(1).err("nothing in it writes them").err("-Wl,-u,__llvm_profile_runtime");
    test.pipeline([gather(", '-Wl,-u,__llvm_profile_runtime'")]);
    let _ = test.run("--state-dir static").ok();
    let _ = test.cmd("plan p.toml --state-dir static").ok().out("libsums.a` is linked into writes profiles only where");
}

#[test]
fn examples_benches_and_what_a_package_does_not_have() {
    let test = empty("");
    test.write("w/Cargo.toml", "[package]\nname = 'p'\nversion = '0.1.0'\nedition = '2021'\n[[bench]]\nname = 'b'\nharness = false\n[workspace]\n");
    test.write("w/src/lib.rs", "pub fn one() -> u64 { 1 }\n");
    test.write("w/examples/e.rs", "fn main() { println!(\"example {}\", p::one()) }\n");
    test.write("w/benches/b.rs", "fn main() { println!(\"bench {}\", p::one()) }\n");
    let _ = sh(&test.path("w"), "cargo generate-lockfile --offline 2>&1");
    let stage = |keys: &str| format!("[[stage]]\nname = 's'\nkind = 'cargo'\nmanifest = 'w'\n{keys}\n");
    test.pipeline([stage("examples = ['e']\nbenches = ['b']")]);
    let _ = test.run("").ok();
    assert_eq!(sh(&test.dir, artifact(&test, "s.e").as_str()), "example 1\n");
    assert_eq!(sh(&test.dir, artifact(&test, "s.b").as_str()), "bench 1\n");
    let refused = |keys: &str, says: &str| {
        test.pipeline([stage(keys)]);
        let _ = test.cmd("plan p.toml").code(2).err(says);
        let _ = test.cmd("doctor p.toml").code(2).err(says);
    };
    refused("bins = ['p']", "package `p` has no program `p`: there is none");
    refused("examples = ['x']", "package `p` has no example `x`: there is `e`");
    refused("libs = ['p']", "the library `p` is one for Rust alone");
    refused("benches = ['e']", "package `p` has no bench `e`: there is `b`");
}

/// What cargo does not read does not count, if it changes while cargo runs; what it reads does.
#[test]
fn files_that_cargo_does_not_read() {
    let main = "fn main() { println!(\"{}\", include_str!(\"../a text.txt\")) }\n";
    let build = "fn main() {
        println!(\"cargo:rerun-if-changed=build.rs\");
        std::fs::write(std::fs::read_to_string(\"changes\").unwrap().trim(), format!(\"{:?}\", std::time::Instant::now())).unwrap();
    }\n";
    let test = empty("")
        .file("w/Cargo.toml", APP)
        .file("w/src/main.rs", main)
        .file("w/a text.txt", "one")
        .file("w/build.rs", build);
    test.write("w/changes", "notes.txt");
    let _ = sh(&test.path("w"), "cargo generate-lockfile --offline 2>&1");
    test.pipeline(["[[stage]]\nname = 's'\nkind = 'cargo'\nmanifest = 'w'\nbins = ['app']\n"]);
    let told = test
        .run("")
        .ok()
        .err("notes.txt in `[DIR]/w` (source) changed while the stage ran, and the build has not read it");
    assert!(told.stderr.contains("1 stage"), "{}", told.stderr);
    test.write("w/changes", "a text.txt");
    let _ = test
        .run("--fresh --from s")
        .code(1)
        .err("a text.txt in `[DIR]/w` (source) changed while the stage ran, so it is not known");
}
