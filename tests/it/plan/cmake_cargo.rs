//! The exact commands of cmake and cargo stages, from recorded facts.

use super::bench::{pipeline, plan, shown, try_pipeline};
#[allow(dead_code)] // The other half is for the tests that run the commands.
use camino::Utf8Path;
use optbuild::facts::Facts;
use optbuild::plan::StagePlan;
use optbuild::stage::PlanError;
use serde_json::{Value, json};

/// Debian with LLVM 22 under numbered names.
fn machine() -> Value {
    let llvm = ["clang", "clang++", "ld.lld", "llvm-ar", "llvm-ranlib", "llvm-nm"];
    let mut programs = serde_json::Map::new();
    for name in llvm {
        let path = format!("/usr/bin/{name}-22");
        programs.insert(format!("{name}-22"), path.clone().into());
        programs.insert(path.clone(), path.into());
    }
    for name in ["cmake", "ninja", "gcc", "ccache"] {
        programs.insert(name.into(), format!("/usr/bin/{name}").into());
    }
    for name in ["cargo", "rustc"] {
        programs.insert(name.into(), format!("/rust/bin/{name}").into());
    }
    programs.insert("/usr/bin/g++".into(), "/usr/bin/g++".into());
    json!({
        "host": "x86_64-unknown-linux-gnu",
        "programs": programs,
        "outputs": {
            "/usr/bin/clang-22 --version": "Debian clang version 22.1.8 (1~deb12u1)\n",
            "/usr/bin/clang-22 -print-runtime-dir": "/usr/lib/llvm-22/lib/clang/22/lib/linux\n",
            "/usr/bin/gcc --version": "gcc (Debian 12.2.0) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.\n",
            "/rust/bin/rustc --print sysroot": "/rust\n",
            "/rust/bin/rustc -vV": "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2\n",
            "/rust/bin/rustc --print cfg --target x86_64-unknown-linux-gnu": "unix\ntarget_os=\"linux\"\n",
        },
        "exists": {
            "/usr/lib/llvm-22/lib/clang/22/lib/linux/libclang_rt.profile-x86_64.a": true,
            "/src/CMakeLists.txt": true,
            "/src": true, "/src/Cargo.toml": true, "/src/Cargo.lock": true, "/src/src/main.rs": true,
        },
        "files": { "/src/Cargo.toml": "[package]\nname = \"p\"\n" },
        "env": { "HOME": "/home/u" },
    })
}

fn with(changes: Value) -> Facts {
    fn merge(into: &mut Value, changes: Value) {
        match changes {
            Value::Object(changes) if into.is_object() => {
                changes.into_iter().for_each(|(key, value)| merge(&mut into[key], value));
            }
            value => *into = value,
        }
    }
    let mut all = machine();
    merge(&mut all, changes);
    Facts::from_json(&all.to_string()).unwrap()
}

fn try_stage(kind: &str, facts: &Facts, tools: &str, common: &str, keys: &str) -> Result<StagePlan, PlanError> {
    let place = if kind == "cmake" { "source = \"${source}\"\n" } else { "" };
    let vars = [("source", Utf8Path::new("/src"))];
    plan(&pipeline(kind, tools, &vars, common, &format!("{place}{keys}")), facts)
}

fn cmake(keys: &str) -> StagePlan {
    let plan = try_stage("cmake", &with(json!({})), "", "", keys).unwrap();
    assert_eq!(plan.gaps, []);
    plan
}

/// What is said of keys when they are read, or planned.
fn refused(kind: &str, keys: &str) -> String {
    let place = if kind == "cmake" { "source = \"${source}\"\n" } else { "" };
    match try_pipeline(kind, "", &[("source", Utf8Path::new("/src"))], "", &format!("{place}{keys}")) {
        Ok(pipeline) => plan(&pipeline, &with(json!({}))).unwrap_err().to_string(),
        Err(message) => message,
    }
}

const CONFIGURE: &str = "/usr/bin/cmake -S /src -B <self.build> -G Ninja -DCMAKE_BUILD_TYPE=Release \
                         -DCMAKE_C_COMPILER=/usr/bin/clang-22 -DCMAKE_CXX_COMPILER=/usr/bin/clang++-22 \
                         -DCMAKE_MAKE_PROGRAM=/usr/bin/ninja -DCMAKE_BUILD_RPATH_USE_ORIGIN=ON";
const LINKED: [&str; 3] = ["EXE", "SHARED", "MODULE"];

/// What goes with every use of profiles: names of local functions without the directory of their file.
const NAMES: &str = "-Xclang -mllvm -Xclang -static-func-full-module-prefix=false";
/// Of builds that use a profile.
const WARN: &str = "-Xclang -mllvm -Xclang -pgo-warn-missing-function -Wno-error=backend-plugin";

/// The flags of all languages and link steps.
fn flags(compile: &str, link: &str) -> String {
    let compile = ["C", "CXX"].map(|language| format!(" -DCMAKE_{language}_FLAGS={compile}"));
    let link = LINKED.map(|what| format!(" -DCMAKE_{what}_LINKER_FLAGS={link}"));
    compile.concat() + &link.concat()
}

/// Behind all flags of the project, for LLVM's own CMake files ask for the contrary.
#[test]
fn relative_relocations_are_not_packed_where_llvm_bolt_would_break_them() {
    let plan = |version: &str, keys: &str| {
        let facts = with(json!({
            "programs": { "llvm-bolt": "/usr/bin/llvm-bolt", "ld.bfd": "/usr/bin/ld.bfd", "ld.gold": "/usr/bin/ld.gold" },
            "outputs": { "/usr/bin/llvm-bolt --version": format!("LLVM (http://llvm.org/):\n  LLVM version {version}\n") },
        }));
        shown(&try_stage("cmake", &facts, "", "", keys).unwrap())[0].clone()
    };
    let last =
        ["C", "CXX"].map(|of| format!(" -DCMAKE_{of}_STANDARD_LIBRARIES=-Wl,-z,nopack-relative-relocs")).concat();
    let keep = "keep-relocations = true";
    assert!(plan("22.1.8", keep).ends_with(&last), "{}", plan("22.1.8", keep));
    assert!(plan("22.1.8", &format!("{keep}\nlinker = \"bfd\"")).ends_with(&last));
    for (version, keys) in [
        ("23.0.0git", keep.to_owned()),
        ("22.1.8", String::new()),
        // It ends with an error where it does not know such a flag.
        ("22.1.8", format!("{keep}\nlinker = \"gold\"")),
    ] {
        assert!(!plan(version, &keys).contains("STANDARD_LIBRARIES"), "{version} {keys}");
    }
    let own = format!("{keep}\ndefine = {{ CMAKE_C_STANDARD_LIBRARIES = \"-lm\" }}");
    assert!(
        plan("22.1.8", &own).contains("-DCMAKE_C_STANDARD_LIBRARIES=-lm -Wl,-z,nopack"),
        "{}",
        plan("22.1.8", &own)
    );
}

#[test]
fn a_plain_cmake_build() {
    let plan = cmake("");
    let build = "build: /usr/bin/cmake --build <self.build> -j <jobs>";
    let install = "install: /usr/bin/cmake --install <self.build> --prefix <self.out>";
    assert_eq!(shown(&plan), [&format!("configure: {CONFIGURE}"), build, install]);
    assert!(plan.outputs[0].portable);
    assert_eq!((plan.sources[0].name.as_str(), plan.sources[0].path.as_str()), ("source", "/src"));
    let tools: Vec<&str> = plan.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["cmake", "clang", "clang++", "ninja"]);
}

#[test]
fn an_instrumented_library() {
    let plan = cmake("pgo = \"generate\"\noutputs = { lib = \"lib/libx.so\" }");
    let flags = flags(&format!("-fprofile-generate {NAMES}"), "-fprofile-generate");
    assert_eq!(shown(&plan)[0], format!("configure: LLVM_PROFILE_FILE=/dev/null {CONFIGURE}{flags}"));
    let outputs: Vec<_> = plan.outputs.iter().map(|o| (o.name.as_str(), o.path.to_string(), o.portable)).collect();
    assert_eq!(outputs, [("out", "<self.out>".into(), false), ("lib", "<self.out>/lib/libx.so".into(), false)]);
}

#[test]
fn a_library_for_bolt() {
    let keys = "pgo = { use = \"${g.profile}\" }\nlto = \"thin\"\nicf = \"all\"\nkeep-relocations = true";
    let plan = cmake(keys);
    assert_eq!(
        shown(&plan)[0],
        "check-profile: op check-profile --profile <g.profile> --compiler clang 22 --max-version 13"
    );
    let archivers = [("AR", "ar"), ("RANLIB", "ranlib"), ("NM", "nm")];
    let archivers = archivers.map(|(variable, tool)| format!(" -DCMAKE_{variable}=/usr/bin/llvm-{tool}-22")).concat();
    let both = "-fprofile-use='<g.profile>' -flto=thin";
    let compile = format!("{both} {NAMES} {WARN} -ffunction-sections");
    let flags = flags(&compile, &format!("{both} -fuse-ld=lld -Wl,--icf=all -Wl,--emit-relocs"));
    assert_eq!(shown(&plan)[1], format!("configure: {CONFIGURE}{archivers}{flags}"));
    assert!(plan.outputs[0].portable);
    assert!(plan.tools.iter().any(|tool| tool.name == "ld.lld" && tool.path == "/usr/bin/ld.lld-22"));
}

#[test]
fn context_sensitive_profiles() {
    let plan = cmake("pgo = { use = \"${g.profile}\" }\ncs-pgo = \"generate\"");
    let both = "-fprofile-use='<g.profile>' -fcs-profile-generate";
    assert!(shown(&plan)[1].ends_with(&flags(&format!("{both} {NAMES} {WARN}"), both)), "{}", shown(&plan)[1]);
    assert!(!plan.outputs[0].portable);
    let plan = cmake("pgo = { use = \"${g.profile}\" }\ncs-pgo = { use = \"${h.profile}\" }");
    let both = "-fprofile-use='<h.profile>'";
    assert!(shown(&plan)[1].ends_with(&flags(&format!("{both} {NAMES} {WARN}"), both)), "{}", shown(&plan)[1]);
    let plan = cmake("pgo = { use = \"${g.profile}\" }\ncs-pgo = \"generate\"\nlto = \"thin\"");
    let both = "-fprofile-use='<g.profile>' -fcs-profile-generate -flto=thin";
    // lld instruments, and has to name functions in the same way.
    let link = format!("{both} -Wl,-mllvm,-static-func-full-module-prefix=false -fuse-ld=lld");
    assert!(shown(&plan)[1].ends_with(&flags(&format!("{both} {NAMES} {WARN}"), &link)), "{}", shown(&plan)[1]);
    assert!(refused("cmake", "cs-pgo = \"generate\"").contains("add `pgo = { use = \"${gather.profile}\" }`"));
    assert!(refused("cmake", "pgo = \"generate\"\ncs-pgo = \"generate\"").contains("comes after the first"));
}

#[test]
fn the_users_flags_come_first() {
    let keys = "pgo = \"generate\"\n[define]\nCMAKE_C_FLAGS = \"-g\"\nBUILD_TESTING = false\nLEVEL = 3";
    let facts = with(json!({ "env": { "CFLAGS": "-ignored", "CXXFLAGS": "-march=native" } }));
    let common = "pass-env = [\"CFLAGS\", \"CXXFLAGS\"]";
    let plan = try_stage("cmake", &facts, "", common, keys).unwrap();
    let line = &shown(&plan)[0];
    let end = format!(
        " -DBUILD_TESTING=OFF -DLEVEL=3 -DCMAKE_C_FLAGS=-g -fprofile-generate {NAMES} \
         -DCMAKE_CXX_FLAGS=-march=native -fprofile-generate {NAMES} -DCMAKE_EXE_LINKER_FLAGS=-fprofile-generate \
         -DCMAKE_SHARED_LINKER_FLAGS=-fprofile-generate -DCMAKE_MODULE_LINKER_FLAGS=-fprofile-generate"
    );
    assert!(line.ends_with(&end), "{line}");
    let message = refused("cmake", "define = { CMAKE_C_COMPILER = \"gcc\" }");
    assert!(message.contains("the stage sets `CMAKE_C_COMPILER` itself; use its key `compiler`"), "{message}");
}

#[test]
fn without_install_outputs_are_captured() {
    let plan =
        cmake("install = false\ntargets = [\"x\", \"y\"]\noutputs = { lib = \"libx.so\" }\nlauncher = \"ccache\"");
    let shown = shown(&plan);
    assert!(
        shown[0].contains(" -DCMAKE_C_COMPILER_LAUNCHER=/usr/bin/ccache -DCMAKE_CXX_COMPILER_LAUNCHER=/usr/bin/ccache")
    );
    assert!(!shown[0].contains("ORIGIN"), "what is captured finds its libraries in the build directory");
    assert_eq!(shown[1], "build: /usr/bin/cmake --build <self.build> -j <jobs> --target x y");
    assert_eq!(shown[2], "capture-lib: op capture --from <self.build>/libx.so --to <self.out>/libx.so");
    assert!(refused("cmake", "install = false").contains("outputs"));
    assert!(refused("cmake", "outputs = { x = \"../x\" }").contains("below the result"));
}

#[test]
fn compilers_and_linkers() {
    let gcc = "compiler = \"gcc\"\nlto = \"full\"";
    let line = shown(&cmake(gcc))[0].clone();
    assert!(line.contains("-DCMAKE_C_COMPILER=/usr/bin/gcc -DCMAKE_CXX_COMPILER=/usr/bin/g++"), "{line}");
    assert!(line.ends_with(&flags("-flto", "-flto")), "{line}");
    let message = refused("cmake", "compiler = \"gcc\"\npgo = { use = \"${g.profile}\" }");
    assert!(message.contains("`pgo`: works with clang only"), "{message}");
    let message = refused("cmake", "linker = \"bfd\"\nicf = \"safe\"");
    assert!(message.contains("set `linker = \"lld\"`"), "{message}");

    let changes = json!({ "programs": { "/llvm/bin/ld.lld": "/llvm/bin/ld.lld" } });
    let tools = "[\"ld.lld\"]\ndir = \"/llvm\"";
    let plan = try_stage("cmake", &with(changes), tools, "", "linker = \"lld\"").unwrap();
    assert!(
        shown(&plan)[0].ends_with("-DCMAKE_MODULE_LINKER_FLAGS=--ld-path='/llvm/bin/ld.lld'"),
        "{:?}",
        shown(&plan)
    );
}

#[test]
fn what_is_missing_is_a_gap() {
    let changes = json!({
        "exists": {
            "/usr/lib/llvm-22/lib/clang/22/lib/linux/libclang_rt.profile-x86_64.a": false,
            "/src/CMakeLists.txt": false,
        },
        "programs": { "cmake": null, "ninja": null },
    });
    let plan = try_stage("cmake", &with(changes), "", "", "pgo = \"generate\"").unwrap();
    let gaps: Vec<String> = plan.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.remedy)).collect();
    assert_eq!(gaps[0], "`cmake` is not installed: install it: `apt-get install -y cmake`");
    assert!(gaps[1].starts_with("/src/CMakeLists.txt does not exist"), "{gaps:?}");
    assert!(gaps[2].contains("`apt-get install -y libclang-rt-22-dev`"), "{gaps:?}");
    assert_eq!(gaps.len(), 3, "CMake has another generator: {gaps:?}");
    assert!(!shown(&plan)[0].contains("Ninja"));
    assert_eq!(plan.notes, ["ninja is not installed: built with CMake's default generator"]);
}

const MANIFEST: &str = "manifest = \"${source}/Cargo.toml\"\nbins = [\"p\"]\n";
const CARGO: &str = "RUSTC=/rust/bin/rustc /rust/bin/cargo build --manifest-path /src/Cargo.toml --bin p --profile release \
                     --target x86_64-unknown-linux-gnu --target-dir <self.build> --jobs <jobs> --locked";

fn cargo(facts: &Facts, common: &str, keys: &str) -> StagePlan {
    let plan = try_stage("cargo", facts, "", common, keys).unwrap();
    assert_eq!(plan.gaps, []);
    plan
}

#[test]
fn a_plain_cargo_build() {
    let plan = cargo(&with(json!({})), "", MANIFEST);
    let from = "<self.build>/x86_64-unknown-linux-gnu/release/p";
    assert_eq!(
        shown(&plan),
        [format!("build: {CARGO}"), format!("capture-p: op capture --from {from} --to <self.out>/bin/p")]
    );
    assert_eq!(plan.sources[0].path, "/src");
    let outputs: Vec<_> = plan.outputs.iter().map(|o| (o.name.as_str(), o.path.to_string())).collect();
    assert_eq!(outputs, [("out", "<self.out>".into()), ("p", "<self.out>/bin/p".into())]);
    let tools: Vec<&str> = plan.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["cargo", "rustc"]);
}

#[test]
fn every_optimisation_of_cargo() {
    let facts = with(json!({ "exists": { "/rust/lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld": true } }));
    let keys = "pgo = { use = \"${g.profile}\" }\nlto = \"thin\"\ncodegen-units = 1\nlinker = \"lld\"\n\
                keep-relocations = true\nrustflags = [\"-Ctarget-cpu=native\"]\nfeatures = [\"a\", \"b\"]\n\
                no-default-features = true\nargs = [\"-v\"]";
    let plan = cargo(&facts, "", &format!("{MANIFEST}{keys}"));
    let check = "check-profile: op check-profile --profile <g.profile> --compiler rustc 1.95.0 --max-version 13";
    assert_eq!(shown(&plan)[0], check);
    let before = CARGO.replace(" --locked", " --features a,b --no-default-features --locked");
    let settings = ".lto=\"thin\" .codegen-units=1";
    let settings: String = settings.split(' ').map(|s| format!(" --config profile.release{s}")).collect();
    let rustflags = "\"-Ctarget-cpu=native\", '''-Cprofile-use=<g.profile>''', \
                     \"-Cllvm-args=-pgo-warn-missing-function\", \
                     '''-Clink-arg=-B/rust/lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld''', \
                     \"-Clink-arg=-fuse-ld=lld\", \"-Clink-arg=-Wl,--emit-relocs\", \"-Cstrip=none\"";
    let target = "target.x86_64-unknown-linux-gnu.rustflags";
    assert_eq!(shown(&plan)[1], format!("build: {before}{settings} --config {target}=[{rustflags}] -v"));
}

#[test]
fn an_instrumented_program() {
    let plan = cargo(&with(json!({})), "", &format!("{MANIFEST}pgo = \"generate\""));
    let flag = "'''-Cprofile-generate=<self.scratch>/discarded'''";
    let target = "target.x86_64-unknown-linux-gnu.rustflags";
    assert_eq!(shown(&plan)[0], format!("build: {CARGO} --config {target}=[{flag}]"));
    assert!(plan.outputs.iter().all(|output| !output.portable));
}

/// Where the user's flags are, ours go.
#[test]
fn flags_go_where_the_users_are() {
    let keys = format!("{MANIFEST}rustflags = [\"-Copt\"]");
    let build_line = |facts: &Facts, common: &str| shown(&cargo(facts, common, &keys))[0].clone();
    let configured = |text: &str| {
        let path = "/home/u/.cargo/config.toml";
        with(json!({ "exists": { path: true }, "files": { path: text } }))
    };
    let target = "--config target.x86_64-unknown-linux-gnu.rustflags=";
    let build = "--config build.rustflags=";

    let line = build_line(&configured("[build]\nrustflags = [\"-g\"]"), "");
    assert!(line.ends_with(&format!("{build}[\"-Copt\"]")), "{line}");
    let line = build_line(&configured("build.rustflags = \"-g\""), "");
    assert!(line.ends_with(&format!("{build}\"-g -Copt\"")), "{line}");
    let linux = "build.rustflags = [\"-g\"]\n[target.'cfg(target_os = \"linux\")']\nrustflags = [\"-h\"]";
    let line = build_line(&configured(linux), "");
    assert!(line.ends_with(&format!("{target}[\"-Copt\"]")), "{line}");
    let line = build_line(&configured(&linux.replace("linux", "macos")), "");
    assert!(line.ends_with(&format!("{build}[\"-Copt\"]")), "{line}");
    let line = build_line(&configured("[target.x86_64-unknown-linux-gnu]\nrustflags = [\"-h\"]"), "");
    assert!(line.ends_with(&format!("{target}[\"-Copt\"]")), "{line}");

    let line = build_line(&with(json!({})), "env = { RUSTFLAGS = \" -g  -h \" }");
    assert!(line.contains("CARGO_ENCODED_RUSTFLAGS=-g␟-h␟-Copt ") && !line.contains(" RUSTFLAGS="), "{line}");
    assert!(!line.contains("--config"), "{line}");
    let facts = with(json!({ "env": { "CARGO_ENCODED_RUSTFLAGS": "-g\u{1f}-h" } }));
    let line = build_line(&facts, "pass-env = [\"CARGO_ENCODED_RUSTFLAGS\"]");
    assert!(line.contains("CARGO_ENCODED_RUSTFLAGS=-g␟-h␟-Copt "), "{line}");
    let facts = with(json!({ "env": { "RUSTFLAGS": "-g" } }));
    let line = build_line(&facts, "");
    assert!(line.ends_with(&format!("{target}[\"-Copt\"]")), "not passed on: {line}");
}

#[test]
fn configuration_files_are_sources() {
    let facts = with(json!({
        "exists": { "/src/.cargo/config.toml": true, "/home/u/.cargo/config": true },
        "files": {
            "/src/.cargo/config.toml": "include = [\"more.toml\"]",
            "/src/.cargo/more.toml": "build.rustflags = [\"-g\"]",
            "/home/u/.cargo/config": "",
        },
    }));
    let plan = cargo(&facts, "", &format!("{MANIFEST}rustflags = [\"-Copt\"]"));
    let sources: Vec<&str> = plan.sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(sources, ["/src", "/src/.cargo/config.toml", "/src/.cargo/more.toml", "/home/u/.cargo/config"]);
    assert!(shown(&plan)[0].ends_with("--config build.rustflags=[\"-Copt\"]"));
}

#[test]
fn a_member_of_a_workspace() {
    let facts = with(json!({
        "exists": { "/src/a/b/Cargo.toml": true, "/src/a/b": true, "/src/a/b/src/main.rs": true },
        "files": {
            "/src/a/b/Cargo.toml": "[package]\nname = \"p\"",
            "/src/Cargo.toml": "[workspace]\nmembers = [\"a/b\"]",
        },
    }));
    let keys = MANIFEST.replace("/Cargo", "/a/b/Cargo");
    let plan = cargo(&facts, "", &keys);
    assert_eq!(plan.sources[0].path, "/src");
    assert!(shown(&plan)[0].contains("--locked"), "the lock file is the workspace's");
    let facts = with(json!({
        "exists": { "/src/a/b/Cargo.toml": true, "/src/a/b/Cargo.lock": true },
        "files": { "/src/Cargo.toml": "[workspace]\nexclude = [\"a\"]" },
    }));
    assert_eq!(cargo(&facts, "", &keys).sources[0].path, "/src/a/b");
}

/// cargo would write one into the sources, and the build would be refused after hours because they changed.
#[test]
fn without_a_lock_file() {
    let gaps = |changes: Value, keys: &str| {
        let plan = try_stage("cargo", &with(changes), "", "", keys).unwrap();
        plan.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.remedy)).collect::<Vec<_>>().join("\n")
    };
    let own = gaps(json!({ "exists": { "/src/Cargo.lock": false } }), MANIFEST);
    assert!(own.starts_with("/src/Cargo.lock does not exist"), "{own}");
    assert!(own.ends_with("run `cargo generate-lockfile` in /src"), "{own}");
    // A member has no lock file of its own.
    let workspace = json!({
        "exists": {
            "/src/a/Cargo.toml": true, "/src/a/Cargo.lock": true, "/src/a/src/main.rs": true, "/src/Cargo.lock": false,
        },
        "files": { "/src/a/Cargo.toml": "[package]\nname = \"p\"", "/src/Cargo.toml": "[workspace]\nmembers = [\"a\"]" },
    });
    let member = gaps(workspace, &MANIFEST.replace("/Cargo", "/a/Cargo"));
    assert!(member.ends_with("run `cargo generate-lockfile` in /src"), "{member}");
}

#[test]
fn a_crate_of_the_registry() {
    let facts = with(json!({ "exists": { "/src/vendor": true }, "env": { "CARGO_HOME": "/ch" } }));
    let keys = "crate = \"ripgrep@14.1.1\"\nbins = [\"rg\"]\nvendor = \"${source}/vendor\"";
    let plan = cargo(&facts, "", keys);
    assert_eq!(
        shown(&plan),
        ["build: RUSTC=/rust/bin/rustc /rust/bin/cargo install ripgrep@14.1.1 --root <self.out> --no-track \
          --force --bin rg --profile release --target x86_64-unknown-linux-gnu --target-dir <self.build> --jobs <jobs> \
          --locked --offline --config source.crates-io.replace-with=\"vendored\" --config \
          source.vendored.directory='''/src/vendor'''"]
    );
    assert!(refused("cargo", "crate = \"ripgrep@14\"\nbins = [\"rg\"]").contains("`ripgrep@14` is not `name@version`"));
    assert!(refused("cargo", "bins = [\"rg\"]").contains("neither `manifest` nor `crate`"));
    assert!(refused("cargo", &MANIFEST.replace("/Cargo.toml", "/x.toml")).contains("the path of a `Cargo.toml`"));
    assert!(refused("cargo", "crate = \"a@1.0.0\"\nlibs = [\"a\"]").contains("programs and examples alone"));
}

/// The newest version is asked of cargo, and said.
#[test]
fn a_crate_without_a_version() {
    let asked = "cd / && /rust/bin/cargo info sd --registry crates-io";
    let keys = "crate = \"sd\"\nbins = [\"sd\"]";
    let said = "sd #find #replace\nAn intuitive find & replace CLI\nversion: 1.0.0\nlicense: MIT\n";
    let plan = cargo(&with(json!({ "outputs": { asked: said } })), "", keys);
    assert!(shown(&plan)[0].contains("/rust/bin/cargo install sd@1.0.0 "), "{:?}", shown(&plan));
    let note = "the newest version of `sd` is 1.0.0; `crate = \"sd@1.0.0\"` in the stage `s` keeps it";
    assert_eq!(plan.notes, [note]);
    let unknown = try_stage("cargo", &with(json!({})), "", "", keys).unwrap();
    assert_eq!(unknown.gaps[0].what, "the newest version of the crate `sd` is not known");
}

/// A directory stands for the manifest in it, and a relative path begins where the pipeline lies.
#[test]
fn a_manifest_by_its_directory() {
    let plan = cargo(&with(json!({})), "", &MANIFEST.replace("/Cargo.toml", ""));
    assert_eq!(shown(&plan)[0], format!("build: {CARGO}"));
    let relative = with(json!({
        "exists": { "/p/app": true, "/p/app/Cargo.toml": true, "/p/app/Cargo.lock": true, "/p/app/src/main.rs": true },
        "files": { "/p/app/Cargo.toml": "[package]\nname = \"p\"\n" },
    }));
    for manifest in ["app", "app/Cargo.toml", "./app"] {
        let plan = cargo(&relative, "", &format!("manifest = \"{manifest}\"\nbins = [\"p\"]"));
        assert!(shown(&plan)[0].contains(" --manifest-path /p/app/Cargo.toml "), "{:?}", shown(&plan));
        assert_eq!(plan.sources[0].path, "/p/app");
    }
}

/// cargo's own rules for targets that no manifest names.
#[test]
fn programs_that_cargo_finds() {
    let facts = |manifest: &str| {
        with(json!({
            "exists": { "/src/src/bin/three/main.rs": true, "/src/src/bin/four/main.rs": false },
            "directories": { "/src/src/bin": ["four", "notes.txt", "three", "two.rs"] },
            "files": { "/src/Cargo.toml": manifest },
        }))
    };
    let is_there = |manifest: &str, bin: &str| {
        try_stage("cargo", &facts(manifest), "", "", &MANIFEST.replace("\"p\"", &format!("\"{bin}\""))).is_ok()
    };
    let plain = "[package]\nname = \"one\"\nedition = \"2021\"\n";
    assert_eq!(
        ["one", "two", "three", "four", "notes"].map(|bin| is_there(plain, bin)),
        [true, true, true, false, false]
    );
    let named = format!("{plain}[[bin]]\nname = \"other\"\npath = \"src/main.rs\"\n");
    assert_eq!(["one", "two", "other"].map(|bin| is_there(&named, bin)), [false, true, true]);
    let off = format!("{}[lib]\n", plain.replace("edition", "autobins = false\nedition"));
    assert_eq!(["one", "two"].map(|bin| is_there(&off, bin)), [false, false]);
    // What cannot be read is left to cargo.
    assert!(is_there("[package", "anything"));
}

/// rustup's proxies say nothing of a toolchain that is not there.
#[test]
fn a_toolchain_that_is_not_installed() {
    let facts = with(json!({
        "real_paths": { "/rust/bin/rustc": "/rust/bin/rustup", "/rust/bin/cargo": "/rust/bin/rustup" },
        "files": { "/src/rust-toolchain.toml": "[toolchain]\nchannel = \"1.70.0\"\n" },
    }));
    let plan = try_stage("cargo", &facts, "", "", MANIFEST).unwrap();
    let what = "the toolchain `1.70.0`, which /src/rust-toolchain.toml asks for, is not there: `/rust/bin/rustc --print sysroot` fails";
    assert_eq!(
        (plan.gaps[0].what.as_str(), plan.gaps[0].remedy.as_str()),
        (what, "`rustup toolchain install 1.70.0` installs it")
    );
}

/// The plan of a stage does not depend on where its files lie.
#[test]
fn the_cargo_directory_is_the_manifests() {
    let plan = cargo(&with(json!({})), "", MANIFEST);
    let optbuild::plan::Action::Command(command) = &plan.steps[0].action else { panic!("a command") };
    assert_eq!((command.cwd.to_string(), command.cwd.symbolic()), ("/src".into(), "<variable source>".into()));
}
