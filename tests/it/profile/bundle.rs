//! Profiles that were gathered in one directory, used in another one, with the real tools.

use std::io::Read;
use std::sync::OnceLock;

use crate::support::real::{artifact, fixture, sh};
use crate::support::{Test, needs};
use camino::{Utf8Path, Utf8PathBuf};

/// The fixture as it was built, in a git repository, and the bundle of its profiles.
struct Built {
    test: Test,
    bundle: Utf8PathBuf,
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = fixture("hotcold");
        test.sh("git init -q . && printf '.optbuild\\nout\\n' > .git/info/exclude && git add -A");
        test.sh("git -c user.name=t -c user.email=t@example.org commit -qm x && git tag v1");
        let _ = test.run("").ok();
        let bundle = test.aside.join("p.tar.zst");
        let _ = test.cmd(&format!("profile export -o {bundle}")).ok().out("bolt-profile ").out(", of v1-0-g");
        Built { test, bundle }
    })
}

/// What the bundle consists of, unpacked by tar.
fn unpacked(bundle: &Utf8Path, to: &Utf8Path) {
    std::fs::create_dir_all(to).unwrap();
    let tar = zstd::decode_all(std::fs::File::open(bundle).unwrap()).unwrap();
    std::fs::write(to.join("../bundle.tar"), tar).unwrap();
    sh(to, "tar xf ../bundle.tar");
}

/// Packs files in the order of the words, as somebody without optbuild would.
fn packed(dir: &Utf8Path, words: &str, to: &Utf8Path) {
    sh(dir, &format!("tar --format=ustar -cf ../again.tar {words}"));
    let tar = std::fs::read(dir.join("../again.tar")).unwrap();
    std::fs::write(to, zstd::encode_all(tar.as_slice(), 1).unwrap()).unwrap();
}

/// Another control flow in two of the eight functions, one of them in the library that BOLT rewrites.
fn other_sources(test: &Test) {
    let steps = test.read("src/steps.cpp");
    let loops = "for (int i = 0; i < n; i++) sum += i ^ (sum >> 3);";
    assert!(steps.contains(loops));
    test.write(
        "src/steps.cpp",
        &steps.replace(loops, "for (int i = 0; i < n; i++) if (sum & 1) sum += i; else sum -= 3;"),
    );
    let work = test.read("src/work.cpp");
    let rare = "if (n % 100 == 99)";
    assert!(work.contains(rare));
    test.write("src/work.cpp", &work.replace(rare, &format!("if (n % 77 == 5) sum++;\n        {rare}")));
}

/// The code of the final library; with it BOLT keeps its command line, in which there are paths.
fn code(test: &Test) -> String {
    let file = artifact(test, "optimized.file");
    sh(&test.dir, &format!("objdump -d -j .text -j .text.cold {file} | tail -n +4"))
}

/// The stages that ran, in order.
fn done(stderr: &str) -> Vec<&str> {
    let lines = stderr.lines().filter(|line| line.contains(": done in "));
    let mut names: Vec<&str> = lines.filter_map(|line| line.split(':').next()).collect();
    names.sort_unstable();
    names
}

#[test]
fn what_a_bundle_says() {
    let Built { test, bundle } = built();
    let again = test.aside.join("again.tar.zst");
    let _ = test.cmd(&format!("profile export -o {again}")).ok();
    assert_eq!(std::fs::read(bundle).unwrap(), std::fs::read(&again).unwrap());

    let dir = test.aside.join("unpacked");
    unpacked(bundle, &dir);
    let listed = sh(&dir, "tar tvf ../bundle.tar --full-time");
    assert!(listed.lines().all(|line| line.contains(" 0/0 ") && line.contains("1970-01-01 00:00:00")), "{listed}");
    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["format"], &manifest["pipeline"]), (&1.into(), &"hotcold".into()));
    let [bolt, pgo] = manifest["profiles"].as_array().unwrap().as_slice() else { panic!("{manifest}") };
    assert_eq!((&pgo["role"], &pgo["kind"], &pgo["version"]), (&"profile".into(), &"profdata".into(), &13.into()));
    assert_eq!((&bolt["role"], &bolt["kind"]), (&"bolt-profile".into(), &"fdata".into()));

    let commit = sh(&test.dir, "git rev-parse HEAD");
    for profile in [bolt, pgo] {
        assert_eq!(profile["sources"][0]["revision"], format!("v1-0-g{}", commit.trim()));
        let content = std::fs::read(dir.join(profile["file"].as_str().unwrap())).unwrap();
        assert_eq!(profile["bytes"], content.len());
        assert_eq!(profile["blake3"], blake3::hash(&content).to_hex().to_string());
        assert_eq!(profile["tools"]["clang"], sh(&dir, "clang --version | grep -oP 'version \\K[0-9.]+'").trim());
    }
    let build_id = |file: &Utf8Path| {
        let notes = sh(&dir, &format!("readelf -n {file}"));
        let line = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{notes}"))
    };
    assert_eq!(bolt["rewritten"]["build-id"], build_id(&artifact(test, "pgo.library")));
    assert_eq!(bolt["instrumented"][0]["build-id"], build_id(&artifact(test, "bolt-instrumented.file")));
    assert_eq!(pgo["instrumented"][1]["build-id"], build_id(&artifact(test, "instrumented.library")));
    assert!(pgo["rewritten"].is_null());
    let yaml = std::fs::read_to_string(dir.join(bolt["matchable"]["file"].as_str().unwrap())).unwrap();
    assert!(yaml.contains("binary-name:     libwork.so\n") && yaml.contains("hash-func:"), "{yaml}");
}

#[test]
fn in_another_directory() {
    let Built { test: there, bundle } = built();
    let test = fixture("hotcold");
    let with = format!("--profiles {bundle}");
    let plan = test.cmd(&format!("plan p.toml {with}")).ok();
    let _ = plan
        .out("instrumented (cmake): not needed: what it is for comes out of the bundle of `--profiles`\n")
        .out("bolt-instrumented (bolt): not needed")
        .out("profile (gather): will run: its profile comes out of")
        .out("op check-bolt-profile --role bolt-profile --build-id ")
        .no_out("note:");
    let ran = test.run(&with).ok().no_err("note:");
    assert_eq!(done(&ran.stderr), ["bolt-profile", "optimized", "pgo", "profile", "verify"]);
    for output in ["pgo.library", "pgo.drive", "profile.profile", "bolt-profile.profile"] {
        let (here, there) = (artifact(&test, output), artifact(there, output));
        assert_eq!(here.file_name(), there.file_name(), "{output}");
        assert!(std::fs::read(here).unwrap() == std::fs::read(there).unwrap(), "{output}");
    }
    assert_eq!(code(&test), code(there));

    // What is said of it later.
    let _ = test.run(&with).ok().err("nothing to do");
    let states = |words: &str| {
        let status = test.cmd(&format!("status --json {words}")).ok().json();
        let stages = status["stages"].as_array().unwrap().clone();
        let state = |stage: &serde_json::Value| {
            format!("{}={}", stage["stage"].as_str().unwrap(), stage["state"].as_str().unwrap())
        };
        stages.iter().map(state).collect::<Vec<_>>().join(" ")
    };
    let all_done = "instrumented=off profile=up-to-date pgo=up-to-date bolt-instrumented=off bolt-profile=up-to-date \
                    optimized=up-to-date verify=up-to-date";
    assert_eq!(states(""), all_done, "as the last run");
    assert_eq!(states(&format!("p.toml {with}")), all_done);
    assert!(states("p.toml").starts_with("instrumented=will-run profile=depends-on pgo=depends-on"));

    // Selections go by what is left of the graph.
    let _ = test.run(&format!("{with} --from instrumented")).code(2).err("nothing needs it; leave one of the two away");
    let ran = test.run(&format!("{with} --only optimized")).ok();
    assert_eq!(done(&ran.stderr), ["optimized"]);
    let ran = test.run(&format!("{with} --from profile --until pgo")).ok();
    assert_eq!(done(&ran.stderr), ["pgo", "profile"]);

    // A run that is resumed goes on with its bundle.
    test.change("name = \"same\"", "name = \"again\"");
    test.sh("mv src/drive.cpp aside && echo nonsense > src/drive.cpp");
    let _ =
        test.run(&format!("{with} --allow-stale-profiles")).code(1).err(&format!("--profiles {bundle} --allow-stale"));
    test.sh("mv aside src/drive.cpp");
    let ran = test.cmd("resume").ok();
    assert_eq!(done(&ran.stderr), ["bolt-profile", "optimized", "pgo", "verify"]);

    // Without a bundle all of it is gathered here, and the same comes out.
    let ran = test.run("").ok();
    assert!(done(&ran.stderr).starts_with(&["bolt-instrumented", "bolt-profile", "instrumented"]), "{}", ran.stderr);
    let same = "profile.profile";
    assert_eq!(std::fs::read(artifact(&test, same)).unwrap(), std::fs::read(artifact(there, same)).unwrap());
}

/// In the directory that it was made in, a bundle changes nothing; after `clean` and without any state it makes the same.
#[test]
fn in_its_own_directory_and_packed_again() {
    let test = fixture("hotcold");
    let _ = test.run("").ok();
    let before = code(&test);
    let _ = test.cmd("profile export -o own.tar.zst").ok();
    test.sh("mv own.tar.zst ..");
    let ran = test.run("--profiles ../own.tar.zst").ok().err("up to date: pgo, optimized, verify");
    assert_eq!(done(&ran.stderr), ["bolt-profile", "profile"]);
    // What is packed again says what the first bundle said, apart from the form that was made with the binary at hand.
    let _ = test.cmd("profile export -o ../again.tar.zst").ok();
    let manifest = |bundle: &str| {
        let dir = test.aside.join(bundle);
        unpacked(&test.path(&format!("../{bundle}.tar.zst")), &dir);
        let text = std::fs::read_to_string(dir.join("manifest.json")).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        manifest["profiles"][0].as_object_mut().unwrap().remove("matchable");
        manifest
    };
    assert_eq!(manifest("own"), manifest("again"));

    let _ = test.cmd("clean").ok();
    let _ = test.run("--profiles ../own.tar.zst").ok().err("nothing to do");
    test.sh("rm -r .optbuild out");
    let ran = test.run("--profiles ../again.tar.zst").ok();
    assert_eq!(done(&ran.stderr), ["bolt-profile", "optimized", "pgo", "profile", "verify"]);
    assert_eq!(code(&test), before);
    test.sh("rm ../again.tar.zst");
    let _ = test.cmd("status").code(2).err("again.tar.zst: No such file").err("`--profiles`, perhaps of the last run");
}

#[test]
fn a_role_that_is_missing_is_gathered() {
    let Built { bundle, .. } = built();
    let test = fixture("hotcold");
    test.change("name = \"bolt-profile\"", "name = \"bolt-profile\"\nrole = \"LLVM-bolt\"");
    let ran = test.run(&format!("--profiles {bundle}")).ok();
    let all = ["bolt-instrumented", "bolt-profile", "optimized", "pgo", "profile", "verify"];
    assert_eq!(done(&ran.stderr), all);
    // The role is no part of what is made; the file that it stands in is a source of the library here.
    test.change("\nrole = \"LLVM-bolt\"", "\nrole = \"LLVM-bolt-2\"");
    let ran = test.run(&format!("--profiles {bundle}")).ok();
    assert_eq!(done(&ran.stderr), ["pgo"]);
}

#[test]
fn profiles_of_other_sources() {
    let Built { bundle, .. } = built();
    let test = fixture("hotcold");
    other_sources(&test);
    let with = format!("--profiles {bundle}");
    let plan = test.cmd(&format!("plan p.toml {with}")).ok();
    let _ =
        plan.out("note: the profile `profile` was gathered on another `pipeline.dir` of stage `instrumented` (v1-0-g");
    // The compiler's warnings say it after the build.
    let ran = test.run(&with).code(1).err("note: the profile `profile` was gathered on another `pipeline.dir`");
    let _ =
        ran.err("of the 8 functions of the program that are in").err("2 have other code than the one that was counted");
    // An instrumented build of these sources says it before.
    let _ = test.run("--until instrumented").ok();
    let ran = test.run(&format!("{with} --from profile")).code(1).err("profile: failed in check-profile");
    let _ = ran.err("only 6 of the 8 functions of the profile are in").err("At least 80% have to be");
    let status = test.cmd("status").ok();
    let _ = status.out("it failed");

    let _ = test.run(&format!("{with} --allow-stale-profiles")).ok();
    let log =
        test.files_below(".optbuild/runs").into_iter().rfind(|path| path.as_str().ends_with("-bolt.log")).unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("BOLT-INFO: inferred profile for 3 (30.00% of profiled, 100.00% of stale)"), "{log}");
    // What was allowed once is not allowed for good.
    let _ = test.run(&format!("{with} --from profile")).code(1).err("only 6 of the 8 functions");
    let _ = test
        .cmd("profile export -o ../x.tar.zst")
        .code(1)
        .err("has its profile out of a bundle by `--allow-stale-profiles`");
}

/// Functions that the profile does not know have no other code than the counted one: they are counted for themselves.
#[test]
fn a_profile_of_functions_of_other_names() {
    let Built { bundle, .. } = built();
    let test = fixture("hotcold");
    // Five of eight.
    test.sh("cd src && sed -i -E 's/\\b(twin_one|twin_two|hot|rare|never)\\b/\\1_2/g' *.cpp *.h");
    let ran = test.run(&format!("--profiles {bundle}")).code(1).err("failed in check-origin");
    let _ = ran.err("of the 8 functions of the program, only 3 have counts in").err("At most 50% may have none");
}

/// Other code where the profile of the compiler still fits.
#[test]
fn a_bolt_profile_of_another_binary() {
    let Built { bundle, .. } = built();
    let test = fixture("hotcold");
    let work = test.read("src/work.cpp");
    test.write("src/work.cpp", &work.replace("sum * 31", "sum * 37"));
    let with = format!("--profiles {bundle}");
    let ran = test.run(&with).code(1).err("optimized: failed in check-origin");
    let _ = ran
        .err("the BOLT profile with role `bolt-profile` is of another file than")
        .err("it was gathered on build id ")
        .err("and this one has build id ");
    let _ = test.run(&format!("{with} --allow-stale-profiles")).ok();
    // Another build id alone is no other code.
    test.write("src/work.cpp", &work);
    test.change(
        "keep-relocations = true",
        "keep-relocations = true\ndefine = { CMAKE_SHARED_LINKER_FLAGS = '-Wl,--build-id=0x123456789012345678901234567890abcdefabcd' }",
    );
    let _ = test.run(&with).ok();
    let notes = sh(&test.dir, &format!("readelf -n {}", artifact(&test, "pgo.library")));
    assert!(notes.contains("Build ID: 123456789012345678901234567890abcdefabcd"), "{notes}");
}

#[test]
fn bundles_that_are_refused() {
    let Built { test: there, bundle } = built();
    let test = fixture("hotcold");
    let parts = there.aside.join("parts");
    unpacked(bundle, &parts);
    let bad = test.aside.join("bad.tar.zst");
    let all = "manifest.json profiles/bolt-profile.fdata profiles/bolt-profile.yaml profiles/profile.profdata";
    let refused = |why: &str| {
        let ran = test.run(&format!("--profiles {bad}")).code(2).err(&format!("the bundle {bad} ")).err(why);
        assert_eq!(done(&ran.stderr), [""; 0]);
        let _ = test.cmd(&format!("plan p.toml --profiles {bad}")).code(2).err(why);
    };
    packed(&parts, all, &bad);
    let _ = test.cmd(&format!("plan p.toml --profiles {bad}")).ok();

    let text = std::fs::read_to_string(parts.join("profiles/bolt-profile.fdata")).unwrap();
    // The last digit of the last count.
    let end = text.trim_end().len() - 1;
    let other = if text[end..].starts_with('7') { "8" } else { "7" };
    let counts = format!("{}{other}{}", &text[..end], &text[end + 1..]);
    assert!(text != counts && text.len() == counts.len());
    std::fs::write(parts.join("profiles/bolt-profile.fdata"), counts).unwrap();
    packed(&parts, all, &bad);
    refused("`profiles/bolt-profile.fdata` is not what its `manifest.json` says: the hash differs");
    std::fs::write(parts.join("profiles/bolt-profile.fdata"), text).unwrap();

    sh(&parts, "ln -sf /etc/passwd profiles/link");
    packed(&parts, &format!("{all} profiles/link"), &bad);
    refused("`profiles/link` in it is a link");
    sh(
        &parts,
        "tar --format=ustar -cf ../again.tar --transform='s,profiles/link,../../up,' manifest.json profiles/link",
    );
    packed(&parts, "manifest.json", &bad);
    refused("lists `profiles/bolt-profile.fdata`, which is not in it");
    let whole = std::fs::read(bundle).unwrap();
    std::fs::write(&bad, &whole[..whole.len() / 2]).unwrap();
    refused("it is damaged, or was cut off");
    std::fs::write(&bad, b"a text").unwrap();
    refused("compressed neither with zstd nor with xz");
    let _ = test.run("--profiles ../nowhere.tar.zst").code(2).err("No such file").err("nowhere.tar.zst");
    let _ = test.run("--allow-stale-profiles").code(2).err("--profiles <FILE>");

    // Roles and kinds.
    let with = format!("--profiles {bundle}");
    let pipeline = test.read("p.toml");
    let role = |stage: &str, role: &str| {
        test.change(&format!("name = \"{stage}\""), &format!("name = \"{stage}\"\nrole = \"{role}\""))
    };
    role("profile", "bolt-profile");
    role("bolt-profile", "profile");
    let _ = test.run(&with).code(2).err("is one of BOLT, and stage `profile` gathers one of LLVM's instrumentation");
    test.write("p.toml", &pipeline);
    role("profile", "llvm-pgo");
    role("bolt-profile", "LLVM-bolt");
    let _ = test.run(&with).code(2).err(
        "none of the roles in it (`bolt-profile`, `profile`) is one of pipeline `hotcold`, whose gather stages have \
         `LLVM-bolt`, `llvm-pgo`",
    );
    test.write("p.toml", &pipeline);
    role("profile", "bolt-profile");
    let _ = test.run(&with).code(2).err("two gather stages have the role `bolt-profile`");
    test.write("p.toml", &pipeline);
    role("profile", "../x");
    let _ = test.run(&with).code(2).err("`../x` cannot be a role");

    // A compiler that cannot read the profile: LLVM 22 writes version 13, and 99 stands for what comes.
    test.write("p.toml", &pipeline);
    let profile = parts.join("profiles/profile.profdata");
    let mut bytes = std::fs::read(&profile).unwrap();
    let is = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!(bytes[8], 13);
    bytes[8] = 99;
    let becomes = blake3::hash(&bytes).to_hex().to_string();
    std::fs::write(&profile, bytes).unwrap();
    let manifest = std::fs::read_to_string(parts.join("manifest.json")).unwrap();
    assert!(manifest.contains(&is) && manifest.contains("\"version\": 13"), "{manifest}");
    let manifest = manifest.replace(&is, &becomes).replace("\"version\": 13", "\"version\": 99");
    std::fs::write(parts.join("manifest.json"), manifest).unwrap();
    packed(&parts, all, &bad);
    let ran = test.run(&format!("--profiles {bad}")).code(2);
    let ran = ran.err("has the indexed version 99, and clang 22 reads versions up to 13");
    assert_eq!(done(&ran.stderr), [""; 0]);

    let _ =
        fixture("hotcold").cmd("profile export p.toml -o x.tar.zst").code(2).err("none of its gather stages has run");
}

/// The same between two versions of LLVM that are there.
#[test]
fn a_bundle_for_an_older_compiler() {
    let Some(_) = needs::llvm(19) else { return };
    let Built { bundle, .. } = built();
    let test = fixture("hotcold");
    test.change("clang = \">=22\"", "clang = \">=19, <20\"");
    let ran = test.run(&format!("--profiles {bundle}")).code(2);
    let ran = ran.err("has the indexed version 13, and clang 19 reads versions up to 12");
    assert_eq!(done(&ran.stderr), [""; 0]);
}

/// The layout of rust's own archives: roles and nothing else, so that llvm-bolt's word decides.
#[test]
fn the_profiles_of_a_release_of_rust() {
    let Built { test: there, bundle } = built();
    let parts = there.aside.join("rust-parts");
    unpacked(bundle, &parts);
    let top = "reproducible-artifacts-1.85.0-x86_64-unknown-linux-gnu";
    sh(
        &parts,
        &format!(
            "mkdir -p {top}/reproducible-artifacts && cp profiles/profile.profdata {top}/reproducible-artifacts/llvm-pgo.profdata && \
             cp profiles/bolt-profile.fdata {top}/reproducible-artifacts/LLVM-bolt.profdata && \
             echo '1.85.0 (4d91de4e4 2025-02-17)' > {top}/version && printf 4d91de4e48198da2e33413efdcd9cd2cc0c46688 > \
             {top}/git-commit-hash && tar --format=gnu -cf ../rust.tar {top}"
        ),
    );
    let test = fixture("hotcold");
    let archive = test.aside.join(format!("{top}.tar.xz"));
    let mut xz = Vec::new();
    let tar = std::fs::File::open(parts.join("../rust.tar")).unwrap();
    liblzma::read::XzEncoder::new(tar, 6).read_to_end(&mut xz).unwrap();
    std::fs::write(&archive, xz).unwrap();
    test.change("name = \"profile\"", "name = \"profile\"\nrole = \"llvm-pgo\"");
    test.change("name = \"bolt-profile\"", "name = \"bolt-profile\"\nrole = \"LLVM-bolt\"");
    let with = format!("--profiles {archive}");
    let _ = test.cmd(&format!("plan p.toml {with}")).ok().out("the bundle does not say which file the BOLT profile");
    let ran = test.run(&with).ok();
    assert_eq!(done(&ran.stderr), ["bolt-profile", "optimized", "pgo", "profile", "verify"]);
    // What is packed again says of which stage it is.
    let _ = test.cmd("profile export -o ../own.tar.zst").ok().out("LLVM-bolt").out("llvm-pgo");

    let work = test.read("src/work.cpp");
    test.write(
        "src/work.cpp",
        &work.replace("if (n % 100 == 99)", "if (n % 77 == 5) sum++;\n        if (n % 100 == 99)"),
    );
    let ran = test.run(&with).code(1).err("optimized: failed in check-origin");
    let _ = ran.err("of the counts in the BOLT profile are of functions that have other code here");
    let _ = test.run(&format!("{with} --allow-stale-profiles")).ok();
}
