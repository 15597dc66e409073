//! Plans of cmake and cargo stages, executed with the real tools; what they made is looked at with LLVM's.

use super::bench::{Bench, pipeline, plan};
#[allow(dead_code)] // The other half is for the tests that look at commands.
use camino::Utf8Path;
use optbuild::facts::Facts;
use optbuild::toolchain::llvm;

const CLANG: &str = "clang = { version = \">=22\" }";

/// A library with a hot and a cold function, a program on it, and a program that the build itself runs.
const PROJECT: [(&str, &str); 4] = [
    (
        "src/CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(x C)\nadd_executable(gen gen.c)\n\
         add_custom_command(OUTPUT gen.h COMMAND gen > gen.h DEPENDS gen)\n\
         add_library(x SHARED x.c ${CMAKE_CURRENT_BINARY_DIR}/gen.h)\n\
         target_include_directories(x PRIVATE ${CMAKE_CURRENT_BINARY_DIR})\n\
         add_executable(run run.c)\ntarget_link_libraries(run x)\n\
         set_target_properties(run PROPERTIES INSTALL_RPATH \"$ORIGIN/../lib\")\n\
         install(TARGETS x run LIBRARY DESTINATION lib RUNTIME DESTINATION bin)\n",
    ),
    ("src/gen.c", "#include <stdio.h>\nint main(void) { puts(\"#define START 7\"); return 0; }\n"),
    (
        "src/x.c",
        "#include \"gen.h\"\nint cold(int n) { return n * 3; }\n\
         int hot(int n) { int s = START; for (int i = 0; i < n; i++) s += i % 7 ? i : cold(i); return s; }\n",
    ),
    ("src/run.c", "#include <stdio.h>\nint hot(int);\nint main(void) { printf(\"%d\\n\", hot(1000)); return 0; }\n"),
];

/// 7 + the sum of 0…999 + twice that of the multiples of 7 among them.
const ANSWER: &str = "641649\n";

fn cmake(bench: &Bench, facts: &Facts, keys: &str) -> String {
    let source = bench.dir.join("src");
    let keys = format!("source = \"${{source}}\"\n{keys}");
    let pipeline = pipeline("cmake", CLANG, &[("source", &source)], "", &keys);
    bench.run(&plan(&pipeline, facts).unwrap())
}

fn fresh(bench: &Bench) {
    bench.sh("rm -rf self.build self.out");
}

#[test]
fn a_cmake_project_through_pgo_context_sensitive_pgo_and_lto() {
    let mut bench = Bench::new();
    bench.write(&PROJECT);
    let facts = Facts::live();
    let probe = pipeline("cmake", CLANG, &[], "", "source = \"/\"");
    let clang = optbuild::toolchain::locate(&facts, &probe, "clang").unwrap();
    let profdata = llvm::profdata_for_clang(&facts, &clang).unwrap().path;
    let tool = |name: &str| llvm::beside(&facts, &clang, name).unwrap();
    let (readelf, dis) = (tool("llvm-readelf"), tool("llvm-dis"));

    cmake(&bench, &facts, "pgo = \"generate\"\n");
    let sections = bench.sh(&format!("{readelf} -SW self.out/lib/libx.so"));
    assert!(sections.contains("__llvm_prf_cnts"), "{sections}");
    assert_eq!(bench.sh("find . -name '*.profraw'"), "", "the build ran an instrumented program");
    assert_eq!(bench.sh("LLVM_PROFILE_FILE=$PWD/raw/%m_%p.profraw ./self.out/bin/run"), ANSWER);
    bench.sh(&format!("{profdata} merge raw/* -o p.profdata"));
    let shown = bench.sh(&format!("{profdata} show --all-functions p.profdata"));
    assert!(shown.contains("hot:") && shown.contains("cold:"), "{shown}");

    fresh(&bench);
    bench.outputs.insert("g.profile".into(), bench.dir.join("p.profdata"));
    cmake(&bench, &facts, "pgo = { use = \"${g.profile}\" }\ncs-pgo = \"generate\"\n");
    assert_eq!(bench.sh("LLVM_PROFILE_FILE=$PWD/cs/%m_%p.profraw ./self.out/bin/run"), ANSWER);
    bench.sh(&format!("{profdata} merge cs/* p.profdata -o cs.profdata"));
    let shown = bench.sh(&format!("{profdata} show --all-functions --showcs cs.profdata"));
    assert!(shown.contains("hot:"), "{shown}");

    fresh(&bench);
    bench.outputs.insert("h.profile".into(), bench.dir.join("cs.profdata"));
    let printed = cmake(
        &bench,
        &facts,
        "pgo = { use = \"${g.profile}\" }\ncs-pgo = { use = \"${h.profile}\" }\nlto = \"thin\"\nicf = \"all\"\n\
         keep-relocations = true\n",
    );
    assert!(!printed.contains("profile data"), "no warning: {printed}");
    assert_eq!(bench.sh("./self.out/bin/run"), ANSWER);
    let sections = bench.sh(&format!("{readelf} -SW self.out/lib/libx.so"));
    assert!(sections.contains(".rela.text") && !sections.contains("__llvm_prf"), "{sections}");
    // Objects are bitcode with the counts of the profile: 143 of 1000 numbers are multiples of 7.
    let object = bench.sh(&format!("{dis} -o - $(find self.build -name 'x.c.o' | head -1)"));
    assert!(object.contains("\"branch_weights\", i32 143, i32 857"), "{object}");

    // Nothing changed, so nothing is done.
    let again = cmake(
        &bench,
        &facts,
        "pgo = { use = \"${g.profile}\" }\ncs-pgo = { use = \"${h.profile}\" }\nlto = \"thin\"\nicf = \"all\"\n\
         keep-relocations = true\n",
    );
    assert!(again.contains("ninja: no work to do"), "{again}");
}

/// A package whose build script and configuration are the user's.
const PACKAGE: [(&str, &str); 4] = [
    ("src/Cargo.toml", "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
    ("src/build.rs", "fn main() { println!(\"cargo::rustc-check-cfg=cfg(users, ours)\"); }\n"),
    (
        "src/src/main.rs",
        "fn main() { let n = std::env::args().count(); println!(\"{} {} {n}\", cfg!(users), cfg!(ours)); }\n",
    ),
    ("src/.cargo/config.toml", ""),
];

#[test]
fn a_cargo_package_with_the_users_flags_and_ours() {
    let mut bench = Bench::new();
    bench.write(&PACKAGE);
    bench.sh("cd src; cargo generate-lockfile --offline");
    let facts = Facts::live();
    let source = bench.dir.join("src");
    let build = |bench: &Bench, common: &str, keys: &str| {
        let keys =
            format!("manifest = \"${{source}}/Cargo.toml\"\nbins = [\"p\"]\nrustflags = [\"--cfg\", \"ours\"]\n{keys}");
        let pipeline = pipeline("cargo", "", &[("source", Utf8Path::new(&source))], common, &keys);
        bench.run(&plan(&pipeline, &Facts::live()).unwrap());
        bench.sh("./self.out/bin/p")
    };
    let config = |text: &str| bench.write(&[("src/.cargo/config.toml", text)]);

    for text in [
        "[build]\nrustflags = [\"--cfg\", \"users\"]",
        "[build]\nrustflags = \"--cfg users\"",
        "[target.'cfg(unix)']\nrustflags = [\"--cfg\", \"users\"]\n[build]\nrustflags = [\"--cfg\", \"ignored\"]",
        "[target.'cfg(windows)']\nrustflags = [\"--cfg\", \"ignored\"]\n[build]\nrustflags = [\"--cfg\", \"users\"]",
    ] {
        config(text);
        assert_eq!(build(&bench, "", ""), "true true 1\n", "{text}");
    }
    config("[build]\nrustflags = [\"--cfg\", \"ignored\"]");
    assert_eq!(build(&bench, "env = { RUSTFLAGS = \"--cfg users\" }", ""), "true true 1\n");

    config("[build]\nrustflags = [\"--cfg\", \"users\"]");
    let instrumented = build(&bench, "env = { LLVM_PROFILE_FILE = \"/dev/null\" }", "pgo = \"generate\"\n");
    assert_eq!(instrumented, "true true 1\n");
    let written = bench.sh("find . -name '*.profraw'");
    assert_eq!(written.lines().count(), 1, "the program's, which ran outside of a gather stage: {written}");
    assert!(written.starts_with("./self.scratch/discarded/"), "{written}");
    bench.sh("LLVM_PROFILE_FILE=$PWD/raw/%m_%p.profraw ./self.out/bin/p");
    let probe = pipeline("cargo", "", &[], "", "manifest = \"/p/Cargo.toml\"\nbins = [\"p\"]");
    let rust = optbuild::toolchain::rust::find(&facts, &probe, None).unwrap();
    let profdata = llvm::profdata_for_rustc(&facts, &rust).unwrap().path;
    bench.sh(&format!("{profdata} merge raw/* -o p.profdata"));

    bench.outputs.insert("g.profile".into(), bench.dir.join("p.profdata"));
    let keys = "pgo = { use = \"${g.profile}\" }\nlto = \"thin\"\ncodegen-units = 1\nlinker = \"lld\"\nkeep-relocations = true\n";
    assert_eq!(build(&bench, "", keys), "true true 1\n");
    let sections = bench.sh(&format!("{} -SW self.out/bin/p", profdata.with_file_name(readelf(&profdata))));
    assert!(sections.contains(".rela.text") && sections.contains(".symtab"), "{sections}");
    assert!(!sections.contains("__llvm_prf"), "{sections}");
}

/// `llvm-readelf` with the number that `llvm-profdata` has.
fn readelf(profdata: &Utf8Path) -> String {
    profdata.file_name().unwrap().replace("profdata", "readelf")
}
