//! The rules of semantics.md on what several machines share, each through the program.

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::{Test, stage};

/// Machines that share a directory and a key. Each has its own paths, times and HOME.
pub struct Team {
    pub store: Utf8PathBuf,
    key: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl Team {
    pub fn new() -> Team {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(dir.path().canonicalize().unwrap()).unwrap();
        let key = optbuild::cache::sign::SigningKey::generate().unwrap();
        std::fs::write(root.join("key"), key.text().unwrap()).unwrap();
        Team { store: root.join("store"), key: root.join("key"), _dir: dir }
    }

    /// A machine that reads and writes.
    pub fn machine(&self, parts: &[String]) -> Test {
        self.joins(Test::new(parts))
    }

    pub fn joins(&self, test: Test) -> Test {
        self.stranger(test, "read-write").env("OPTBUILD_SIGNING_KEY", self.key.as_str())
    }

    /// One that has no key.
    pub fn stranger(&self, test: Test, mode: &str) -> Test {
        test.env("OPTBUILD_CACHE", &format!("file:{}", self.store))
            .env("OPTBUILD_CACHE_MODE", mode)
            .env("USER", "somebody")
    }

    /// The names of all objects that have this in their names.
    pub fn objects(&self, part: &str) -> Vec<String> {
        // Nothing may have been put there yet.
        let entries = walkdir::WalkDir::new(&self.store).sort_by_file_name().into_iter().filter_map(Result::ok);
        let files = entries.filter(|entry| entry.file_type().is_file());
        let names = files.map(|entry| entry.path().strip_prefix(&self.store).unwrap().to_str().unwrap().to_owned());
        names.filter(|name| name.contains(part)).collect()
    }

    pub fn records(&self) -> usize {
        self.objects("/records/").len()
    }

    /// The text of the record of a stage.
    fn record(&self, stage: &str) -> serde_json::Value {
        let records = self.objects("/records/").into_iter().map(|name| std::fs::read(self.store.join(name)).unwrap());
        let texts = records.map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
        let mut records = texts.map(|envelope| serde_json::from_str(envelope["record"].as_str().unwrap()).unwrap());
        records.find(|record: &serde_json::Value| record["stage"] == stage).unwrap()
    }
}

/// a ─► b ─► c, of which c is wanted.
fn chain() -> Vec<String> {
    vec![
        "[outputs]\nresult = '${c.out}/x'\n".into(),
        stage("a", "inputs = ['${pipeline.dir}/source']", "cat ${pipeline.dir}/source > ${self.out}/x"),
        stage("b", "", "(cat ${a.out}/x; echo b) > ${self.out}/x"),
        stage("c", "", "(cat ${b.out}/x; echo c) > ${self.out}/x"),
    ]
}

/// The chain, built by one machine.
fn built() -> (Team, Test) {
    let team = Team::new();
    let first = team.machine(&chain()).file("source", "s\n");
    first.run("").runs("a b c");
    assert_eq!(team.records(), 3);
    (team, first)
}

fn outputs(test: &Test) -> Vec<String> {
    let dir = test.path(".optbuild/outputs");
    let mut names: Vec<String> = match dir.read_dir_utf8() {
        Ok(entries) => entries.map(|entry| entry.unwrap().file_name().to_owned()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort();
    names
}

#[test]
fn what_one_machine_has_built_no_other_builds_again() {
    let (team, first) = built();
    let other = team.machine(&chain()).file("source", "s\n");
    let ran = other.run("").ok().ran("").err("cache: had 3 stages").err("fetched");
    assert!(ran.stderr.contains("3 stages are up to date"), "{}", ran.stderr);
    assert_eq!(other.read("out/p/result"), first.read("out/p/result"));
    assert_eq!(other.read("out/p/result"), "s\nb\nc\n");
    // A lookup needs hashes: only what is an output of the pipeline is here.
    assert_eq!(outputs(&other), ["c"]);
    // And it stays so.
    other.run("").runs("");
    other.cmd("explain b").out("made by another machine").runs("");
    other.cmd("status").out("3 of 3 stages up to date").runs("");
}

#[test]
fn a_stage_that_runs_gets_what_it_reads_and_nothing_else() {
    let (team, _first) = built();
    let other = team.machine(&chain()).file("source", "s\n");
    other.change("echo c", "echo C");
    other.run("").runs("c");
    assert_eq!(other.read("out/p/result"), "s\nb\nC\n");
    assert_eq!(outputs(&other), ["b", "c"]);
}

/// Removes what was made of the file with this text.
fn evict(team: &Team, text: &str) {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    // A pack of one file is named by its content.
    let found = team.objects(hash.as_str());
    assert_eq!(found.len(), 1, "{found:?}");
    std::fs::remove_file(team.store.join(&found[0])).unwrap();
}

#[test]
fn an_object_that_has_vanished_makes_its_stage_run_in_the_same_run() {
    let (team, _first) = built();
    let other = team.machine(&chain()).file("source", "s\n");
    evict(&team, "s\nb\nc\n");
    // `c` is found missing when it is to be put in place, and `b` comes from the cache for it.
    let _ = other.run("").ok().ran("c").err("cannot be used");
    assert_eq!(other.read("out/p/result"), "s\nb\nc\n");
    // What was missing is there again.
    let third = team.machine(&chain()).file("source", "s\n");
    third.run("").runs("");
}

#[test]
fn so_does_one_that_vanishes_between_two_runs() {
    let (team, _first) = built();
    let other = team.machine(&chain()).file("source", "s\n");
    other.run("").runs("");
    evict(&team, "s\nb\n");
    other.change("echo c", "echo C");
    other.run("").runs("b c");
    assert_eq!(other.read("out/p/result"), "s\nb\nC\n");
    assert_eq!(outputs(&other), ["a", "b", "c"]);
}

#[test]
fn a_stage_that_comes_out_otherwise_is_followed_by_those_behind_it() {
    let team = Team::new();
    let parts = || {
        vec![
            "[outputs]\nresult = '${c.out}/x'\n".to_owned(),
            stage("a", "", "cat number > ${self.out}/x").replace("cat number", "number"),
            stage("b", "", "cat ${a.out}/x > ${self.out}/x"),
            stage("c", "", "cat ${b.out}/x > ${self.out}/x; echo c >> ${self.out}/x"),
        ]
    };
    let first = team.machine(&parts());
    first.program("number", "echo 1");
    first.run("").runs("a b c");
    let other = team.machine(&parts());
    other.program("number", "echo 2");
    // All are hits, until what `b` has made is missing, and what `a` has made as well.
    evict(&team, "1\n");
    evict(&team, "1\nc\n");
    other.run("").runs("a b c");
    assert_eq!(other.read("out/p/result"), "2\nc\n");
}

#[test]
fn without_the_cache_what_it_holds_is_built() {
    let (team, _first) = built();
    let other = team.machine(&chain()).file("source", "s\n");
    other.run("").runs("");
    let _ = other.run("--cache-mode off --only c").code(2).ran("").err("which is not used");
    other.change("echo c", "echo C");
    other.run("--cache-mode off").runs("a b c");
}

#[test]
fn a_cache_that_is_gone_or_unreadable_fails_nothing_unless_it_is_required() {
    let (team, _first) = built();
    std::fs::write(team.store.join("optbuild-cache"), "{\"format\": 2}").unwrap();
    let other = team.machine(&chain()).file("source", "s\n");
    let _ = other.run("--cache-required").code(3).ran("").err("newer optbuild").err("--cache-required");
    let _ = other.run("").ok().ran("a b c").err("newer optbuild");
    // A file in its place.
    std::fs::remove_dir_all(&team.store).unwrap();
    std::fs::write(&team.store, "").unwrap();
    let third = team.machine(&chain()).file("source", "s\n");
    let _ = third.run("--cache-required").code(3).ran("");
    let _ = third.run("").ok().ran("a b c").err("is not used any more in this run");
}

#[test]
fn a_wrong_cache_is_said_before_anything_runs() {
    let test = Test::new([stage("a", "", "")]);
    let _ = test.run("--cache nowhere").code(2).err("there is no cache `nowhere`").ran("");
    let _ = test.run("--cache s3://bucket").code(2).err("is reached by a network").ran("");
    let _ = test.run("--cache-required").code(2).err("without a cache").ran("");
    test.write("optbuild.toml", "[cache.main]\nurl = 'store'\nsecret = 1\n");
    let _ = test.run("").code(2).err("optbuild.toml").ran("");
    test.write("optbuild.toml", "[cache.main]\nurl = 'store'\nsalt = 'x'\n");
    let _ = test.run("").code(2).err("is a secret").ran("");
}

#[test]
fn configured_beside_the_pipeline_it_is_read_and_not_written() {
    let (team, _first) = built();
    let other = Test::new(chain()).file("source", "s\n");
    let text = std::fs::read_to_string(&team.key).unwrap();
    let public = optbuild::cache::sign::SigningKey::parse(&text).unwrap().public().text();
    other.write("optbuild.toml", &format!("[cache.team]\nurl = 'file:{}'\ntrusted-keys = ['{public}']\n", team.store));
    other.change("echo c", "echo C");
    other.run("").runs("c");
    assert_eq!(team.records(), 3);
    other.cmd("cache status -p p.toml").out("team: ").out("believed: records that 1 key signed").runs("");
}

#[test]
fn what_nobody_has_signed_is_not_believed_unless_one_says_so() {
    let team = Team::new();
    let unsigned = team.stranger(Test::new(chain()).file("source", "s\n"), "read-write");
    unsigned.run("").runs("a b c");
    let with_key = team.machine(&chain()).file("source", "s\n");
    let _ = with_key.run("").ok().ran("a b c").err("nobody has signed it");
    // It has signed it now.
    let stranger = team.stranger(Test::new(chain()).file("source", "s\n"), "read");
    let _ = stranger.run("").ok().ran("a b c").err("no key of `trusted-keys` has signed it");
    let careless = team.stranger(Test::new(chain()).file("source", "s\n"), "read");
    careless.run("--cache-unsigned").runs("");
}

#[test]
fn a_scope_is_written_by_one_and_read_by_others() {
    let (team, _first) = built();
    // A pull request reads `main`, and writes what only pull requests read.
    let of_pr = team.machine(&chain()).file("source", "s\n");
    of_pr.change("echo c", "echo evil");
    let config = |scope: &str, read: &str| {
        format!(
            "[cache.main]\nurl = 'file:{}'\nmode = 'read-write'\nscope = '{scope}'\nread-scopes = [{read}]\n",
            team.store
        )
    };
    of_pr.write("optbuild.toml", &config("pr/7", "'main', 'pr/7'"));
    let of_pr = of_pr.env("OPTBUILD_CACHE", "main");
    of_pr.run("").runs("c");
    assert_eq!(team.objects("scopes/pr/7/records/").len(), 1);
    let on_main = team.machine(&chain()).file("source", "s\n");
    on_main.change("echo c", "echo evil");
    on_main.run("").runs("c");
    // What lies in one scope is not in the way of what lies in the next.
    let both = team.machine(&chain()).file("source", "s\n");
    both.write("optbuild.toml", &config("pr/8", "'pr/8', 'main'"));
    std::fs::create_dir_all(team.store.join("v1/scopes/pr/8/records")).unwrap();
    for record in team.objects("scopes/main/records/") {
        std::fs::write(team.store.join(record.replace("/main/", "/pr/8/")), "rubbish").unwrap();
    }
    both.env("OPTBUILD_CACHE", "main").run("").err("is not used").runs("");
    // Who copies the record to `main` has the wrong signature for it.
    let again = team.machine(&chain()).file("source", "s\n");
    again.change("echo c", "echo evil");
    let of_main = team.objects("scopes/main/records/");
    let name = team.objects("scopes/pr/7/records/")[0].rsplit('/').next().unwrap().to_owned();
    assert!(of_main.iter().any(|record| record.ends_with(&name)), "the key is the same");
    let at = |scope: &str| team.store.join(format!("v1/scopes/{scope}/records/{name}"));
    std::fs::copy(at("pr/7"), at("main")).unwrap();
    let _ = again.run("").ok().ran("c").err("no key of `trusted-keys` has signed it");
}

#[test]
fn another_platform_is_another_key_and_the_miss_says_so() {
    let team = Team::new();
    let config = format!("[cache.main]\nurl = 'file:{}'\nplatform = 'image'\n", team.store);
    let machine = |image: &str| {
        let test = team.machine(&chain()).file("source", "s\n").file("optbuild.toml", &config);
        test.env("OPTBUILD_CACHE", "main").env("OPTBUILD_IMAGE", image)
    };
    machine("sha256:1").run("").runs("a b c");
    machine("sha256:1").run("").runs("");
    let other = machine("sha256:2");
    other.cmd("plan p.toml --cache main").out("differs in: image is another one").no_out("sha256").runs("");
    other.run("").runs("a b c");
    let _ = machine("").run("").ok().ran("a b c");
}

#[test]
fn a_miss_says_which_part_differs_without_its_value() {
    let (team, _first) = built();
    let other = team.machine(&chain()).file("source", "another\n");
    let _ = other.cmd("plan p.toml --cache").code(2);
    let cache = format!("--cache file:{}", team.store);
    let plan = other.cmd(&format!("plan p.toml {cache}")).ok().out("the nearest one, of").out("differs in: ");
    assert!(plan.stdout.contains("pipeline.dir/source") || plan.stdout.contains("inputs"), "{}", plan.stdout);
    other.cmd(&format!("explain a -p p.toml {cache}")).out("the nearest one, of").runs("");
    other.run("-v").err("the nearest one, of").runs("a b c");
    let report = other.cmd("report --format json").ok().json();
    assert_eq!(report["cache"]["misses"].as_array().unwrap().len(), 3);
    assert!(report["cache"]["sent"].as_u64().unwrap() > 0);
    // Whoever only looks asks no cache that is not named.
    other.cmd("plan p.toml").no_out("cache").runs("");
}

#[test]
fn no_part_of_a_fingerprint_leaves_the_machine() {
    let team = Team::new();
    let parts = [stage("a", "env = { WORD = 'confidential' }\npass-env = ['PASSED']", "echo hush > ${self.out}/x")];
    let test = team.machine(&parts).env("PASSED", "also-confidential");
    test.run("").runs("a");
    for name in team.objects("") {
        let bytes = std::fs::read(team.store.join(&name)).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for word in ["confidential", "hush >", test.dir.as_str(), test.aside.as_str(), "somebody", "WORD", "PASSED"] {
            assert!(!text.contains(word), "{word} in {name}: {text}");
        }
        let hash = blake3::hash(b"also-confidential").to_hex();
        assert!(!text.contains(hash.as_str()), "an unkeyed hash can be guessed");
    }
    let record = team.record("a");
    let known: Vec<&String> = record.as_object().unwrap().keys().collect();
    let all = "elsewhere facts finished fingerprint format key kind objects optbuild outputs parts platform scope stage stored duration";
    assert_eq!(known.len(), all.split(' ').count(), "{known:?}");
}

#[test]
fn a_stage_with_a_secret_is_shared_in_a_cache_with_a_salt_only() {
    let parts = [
        "[vars]\ntoken = { type = 'string', secret = true, default = '' }\n".to_owned(),
        stage("a", "env = { TOKEN = '${token}' }", "echo > ${self.out}/x"),
    ];
    let team = Team::new();
    let test = team.machine(&parts).env("OPTBUILD_VAR_TOKEN", "hunter2");
    test.run("-v").err("its fingerprint holds a secret").runs("a");
    assert_eq!(team.records(), 0);
    let salted =
        |salt: &str| team.machine(&parts).env("OPTBUILD_VAR_TOKEN", "hunter2").env("OPTBUILD_CACHE_SALT", salt);
    salted("pepper").run("").runs("a");
    assert_eq!(team.records(), 1);
    salted("pepper").run("").runs("");
    salted("other").run("").runs("a");
}

#[test]
fn what_a_stage_reads_must_be_known() {
    let team = Team::new();
    let beside = team.store.parent().unwrap().join("beside");
    std::fs::write(&beside, "text").unwrap();
    let cases = [
        ("", format!("cat {beside} > ${{self.out}}/x"), "is not watched"),
        ("", "curl --version > /dev/null || true; echo > ${self.out}/x".into(), "runs `curl`"),
        ("", "[ 1 = 1 ] || git clone x; echo > ${self.out}/x".into(), "runs `git clone`"),
    ];
    for (keys, script, why) in cases {
        let test = team.machine(&[stage("a", keys, &script)]);
        test.run("-v").err("not shared").err(why).runs("a");
        assert_eq!(team.records(), 0, "{script}");
    }
    // Watched, it is known.
    let inputs = format!("inputs = ['{beside}']");
    let test = team.machine(&[stage("a", &inputs, &format!("cat {beside} > ${{self.out}}/x"))]);
    test.run("").runs("a");
    assert_eq!(team.records(), 1);
}

/// The program's own path is compiled into what is instrumented.
fn instrumented() -> Vec<String> {
    let build = "printf 'int main(void) { return 0; }' > x.c; ${self.cc} x.c -o ${self.out}/x";
    vec![
        "[outputs]\nresult = '${b.out}/x'\n".into(),
        stage("a", "pgo = 'generate'", build).replace("mark a\n", "mark a; "),
        stage("b", "", "wc -c < ${a.out}/x > ${self.out}/x"),
    ]
}

#[test]
fn what_works_at_one_place_only_is_used_there_and_known_elsewhere() {
    let team = Team::new();
    let machine = || team.machine(&instrumented()).env("PATH", &format!("{}:/usr/bin:/bin", crate::support::dir::LLVM));
    // `mark` has to be found as well.
    let with_mark = |test: Test| {
        let path = format!("{}:{}:/usr/bin:/bin", test.aside.join("bin"), crate::support::dir::LLVM);
        test.env("PATH", &path)
    };
    let first = with_mark(machine());
    first.run("").runs("a b");
    // Of what is fixed there is a second record, under the key of all other places.
    assert_eq!(team.records(), 3);
    // The hashes of `a` are enough to find `b`.
    let other = with_mark(machine());
    other.run("").runs("");
    assert_eq!(outputs(&other), ["b"]);
    assert_eq!(other.read("out/p/result"), first.read("out/p/result"));
    // When `a` is needed, it is built here.
    other.change("wc -c <", "wc -m <");
    let _ = other.run("").ok().ran("a b");
    // At the same place it comes out of the cache.
    other.sh("rm -rf .optbuild");
    other.run("").runs("");
    other.cmd("cache pull a").err("fetched").runs("");
    assert_eq!(outputs(&other), ["a", "b"]);
}

#[test]
fn two_that_build_otherwise_are_told() {
    let team = Team::new();
    let parts = [stage("a", "", "number > ${self.out}/x")];
    let (first, second) = (team.machine(&parts), team.machine(&parts));
    first.program("number", "echo 1");
    second.program("number", "echo 2");
    first.run("").runs("a");
    second.run("--force").err("is not reproducible").runs("a");
    assert_eq!(team.records(), 1);
}

#[test]
fn a_kill_while_it_sends_leaves_nothing_that_is_believed() {
    let (team, _first) = built();
    // Objects without a record, and a half written file.
    for record in team.objects("/records/") {
        std::fs::remove_file(team.store.join(record)).unwrap();
    }
    std::fs::write(team.store.join("v1/.tmp-half"), "half").unwrap();
    let other = team.machine(&chain()).file("source", "s\n");
    other.run("").runs("a b c");
    assert_eq!(team.records(), 3);
}

#[test]
fn an_interrupt_does_not_wait_for_caches() {
    let team = Team::new();
    let test =
        team.machine(&[stage("a", "", "echo > ${self.out}/x"), stage("b", "needs = ['a']", "mark there; gate go")]);
    let run = test.start("");
    run.wait_for("there").interrupt();
    let _ = run.end().code(130);
    test.open("go");
    test.cmd("resume").runs("b there");
}

#[test]
fn no_command_sees_a_credential_of_a_cache() {
    let names = [
        "OPTBUILD_SIGNING_KEY",
        "OPTBUILD_CACHE_SALT",
        "AWS_SECRET_ACCESS_KEY",
        "ACTIONS_RUNTIME_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_CLIENT_SECRET",
    ];
    for name in names {
        assert!(!optbuild::run::environment::is_base(name), "{name}");
    }
    let team = Team::new();
    let test = team.machine(&[stage("a", "", "env > ${self.out}/x; ! grep -e SIGNING -e CACHE_SALT ${self.out}/x")]);
    let test = test.env("OPTBUILD_CACHE_SALT", "pepper");
    test.run("").runs("a");
}

/// What is looked at by its path is fetched, or said to be elsewhere.
#[test]
fn artifacts_say_what_is_held() {
    let (team, _first) = built();
    let other = team.machine(&chain()).file("source", "s\n");
    other.run("").runs("");
    other.cmd("artifacts").out("held in a cache").runs("");
    other.cmd("cache pull b").err("fetched").runs("");
    let json = other.cmd("artifacts b --json").ok().json();
    assert!(Utf8Path::new(&json[0]["path"].as_str().unwrap().replace("[DIR]", other.dir.as_str())).exists());
}
