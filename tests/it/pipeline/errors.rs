//! What is said about pipelines that are wrong. The snapshots are read by people: a change in one is a change of the product.

use super::support::Files;
use insta::assert_snapshot;

#[test]
fn syntax() {
    assert_snapshot!(Files::one("name = \"x\n[vars\na = = 1\n[[stage]]\nname = 'a'\nname = 'b'\n").errors("p.toml"));
}

#[test]
fn files_that_are_no_pipelines() {
    let files = Files::new(&[("empty.toml", " \n"), ("comment.toml", "# nothing\n"), ("none.toml", "name = 'x'\n")]);
    files.write("binary.toml", b"# gr\xc3\xbc\xc3\x9fe\nname = \"\xff\"\n");
    files.write("big.toml", &vec![b'#'; (16 << 20) + 1]);
    std::fs::create_dir(files.root().join("dir.toml")).unwrap();
    let names = ["empty.toml", "comment.toml", "none.toml", "binary.toml", "big.toml", "dir.toml", "missing.toml", "."];
    let all: Vec<String> = names.iter().map(|name| files.errors(name)).collect();
    assert_snapshot!(all.join("\n"));
}

/// What is wrong with the value of a variable is told once, in however many stages it is met.
#[test]
fn one_mistake_in_many_stages() {
    let stage = |name: &str, krate: &str| {
        format!("[[stage]]\nname = '{name}'\nkind = 'cargo'\ncrate = '{krate}'\nbins = ['b']\n")
    };
    let all = |a: &str, b: &str| {
        let text = format!("[vars]\nx = {{ type = 'string', default = 'a@b' }}\n{}{}", stage("a", a), stage("b", b));
        Files::one(&text).errors("p.toml").matches("is not `name@version`").count()
    };
    assert_eq!(all("${x}", "${x}"), 1);
    // Two that have to be corrected in two places.
    assert_eq!(all("a@b", "a@b"), 2);
    assert_eq!(all("${x}", "a@b"), 2);
}

#[test]
fn keys_and_types() {
    assert_snapshot!(
        Files::one(
            r#"
descripton = "x"
name = 3
[tools]
clang = { version = "new", optional = "yes" }
lld = { versoin = "1" }
cmake = 3.16
gcc = "~> 4"
[[stage]]
name = "lib"
kind = "cmake"
sorce = "x"
define = { LIST = ["a"], FLOAT = 1.5 }
lto = "thn"
pgo = { use = 3, from = "x" }
timeout = "soon"
memory = "much"
retries = -1
jobs = 99999999999
keep-relocations = "on"
[[stage]]
name = "tests"
kind = "verify"
tests = [
    { nam = "a", run = "x" },
    { name = "b", run = 5 },
    { name = "c", run = "x", same-as = { run = "x", shel = true } },
]
[[stage]]
kind = "command"
run = "x"
[[stage]]
name = "strange"
kind = "comand"
[[stage]]
name = "kindless"
on-failure = "continue"
"#
        )
        .errors("p.toml")
    );
}

#[test]
fn variables() {
    let files = Files::one(
        r#"
[vars]
self = 1
"a b" = 2
kind = { type = "strng" }
wrong = { type = "int", default = "3" }
number = { type = "int" }
needed = { type = "path", required = true }
choice = { default = "thni", choices = ["thin", "full"] }
secret = { type = "bool", secret = true }
itself = "${itself}"
early = "${late}"
late = "x"
typo = "${lat}"
stage = "${s.out}"
dir = "${pipeline.dir}"
where = { type = "path", default = "x" }
inside = "${where}/y"
elements = ["${where}"]
list = ["a"]
joined = "x${list}"
token = { default = "x", secret = true }
leak = "${token}"
unclosed = "${x"
extra = { default = 1, defualt = 2 }
mode = { type = "string", default = "a", choices = ["a", "b"] }
flag = true
pin = { default = "1234", secret = true, choices = ["1234"] }
[[stage]]
name = "s"
kind = "command"
run = "x"
"#,
    )
    .set("flga=true")
    .set("flag")
    .set("flag=maybe")
    .set("mode=c")
    .set("pin=4321")
    .env("OPTBUILD_VAR_LIST", "")
    .env("OPTBUILD_VAR_NUMBER", "many");
    assert_snapshot!(files.errors("p.toml"));
}

#[test]
fn references() {
    assert_snapshot!(
        Files::one(
            r#"
[vars]
level = 1
flags = ["a"]
src = { type = "path" }
both = "x"
[tools]
clang = { dir = "${lib.out}" }
lld = { dir = "${self.out}" }
[outputs]
a = "${lib.outt}"
b = "plain"
"../c" = "${lib.out}"
d = "${offf.out}"
[[stage]]
name = "lib"
kind = "command"
run = "x ${levl} ${lib.out} ${self.bulid} ${tools.clnag} ${use} ${level.out} ${flags}x"
[[stage]]
name = "use"
kind = "command"
run = "y ${lbi.out | lib.file} ${off.out} ${off.out | off.out}  ${src}"
needs = ["libb", "use"]
env = { A = "${", B = "${a b}", C = "${}", D = "${pipeline.root}" }
workspace = "${self.out}"
[[stage]]
name = "off"
kind = "command"
when = false
run = "x ${also-off.out} ${unknown}"
[[stage]]
name = "also-off"
kind = "command"
when = false
run = "x"
[[stage]]
name = "both"
kind = "command"
run = "x"
[[stage]]
name = "jobs"
kind = "command"
run = "x"
[[stage]]
name = "a/b"
kind = "command"
run = "x"
"#
        )
        .errors("p.toml")
    );
}

#[test]
fn duplicates_and_cycles() {
    assert_snapshot!(
        Files::one(
            r#"
[[stage]]
name = "one"
kind = "command"
run = "x ${three.out}"
[[stage]]
name = "two"
kind = "command"
run = "x"
needs = ["one"]
[[stage]]
name = "three"
kind = "command"
run = ["x", "${one.out | two.out}"]
[[stage]]
name = "two"
kind = "command"
run = "y"
"#
        )
        .errors("p.toml")
    );
    // A workspace is an order, too.
    assert_snapshot!(
        "workspace_cycle",
        Files::one(
            r#"
[[stage]]
name = "first"
kind = "command"
workspace = "w"
run = "x ${second.out}"
[[stage]]
name = "second"
kind = "command"
workspace = "w"
run = "y"
"#
        )
        .errors("p.toml")
    );
}

#[test]
fn keys_that_do_not_go_together() {
    assert_snapshot!(
        Files::one(
            r#"
[vars]
none = { type = "list" }
src = { type = "path", default = "x" }
[[stage]]
name = "cmake"
kind = "cmake"
source = "x"
cs-pgo = "generate"
outputs = { out = "x", "a b" = "y" }
[[stage]]
name = "neither"
kind = "cargo"
bins = []
[[stage]]
name = "both"
kind = "cargo"
manifest = "x"
crate = "a@1.2.3"
bins = ["a", "a", "out", "${src}"]
[[stage]]
name = "unpinned"
kind = "cargo"
crate = "ripgrep@14"
bins = ["rg"]
[[stage]]
name = "optimize"
kind = "bolt"
action = "optimize"
input = "x"
slots = 2
[[stage]]
name = "instrument"
kind = "bolt"
action = "instrument"
input = "x"
profile = "y"
slots = 0
options = ["-a"]
extra-options = ["-b"]
[[stage]]
name = "nothing"
kind = "gather"
instrumented = "x"
workloads = []
[[stage]]
name = "twice"
kind = "gather"
instrumented = "x"
workloads = [{ name = "w", run = "x" }, { name = "w", run = "y" }]
[[stage]]
name = "matrix"
kind = "gather"
instrumented = "x"
[[stage.workloads]]
name = "shadow"
run = "x"
for = { src = ["a"], cmake = ["b"], host = ["c"] }
[[stage.workloads]]
name = "empty"
run = "x"
for = { level = [] }
[[stage.workloads]]
name = "number"
run = "x"
for = { level = [1] }
[[stage.workloads]]
name = "typo"
run = "x ${lvel}"
for = { level = ["1", "2", "3"] }
[[stage]]
name = "command"
kind = "command"
run = "x 'y"
[[stage]]
name = "script"
kind = "command"
run = ["x"]
shell = true
jobs = 0
env = { "A=B" = "x" }
show = ["tabel"]
outputs = { table = "x" }
[[stage]]
name = "check"
kind = "command"
run = ""
check = [{ run = "x", shell = true, cwd = 3 }]
[[stage]]
name = "checks"
kind = "command"
run = "x"
check = ["", { run = [] }]
pass-env = ["="]
workspace = "a/b"
"#
        )
        .errors("p.toml")
    );
}

#[test]
fn files_that_extend_others() {
    let base = "[[stage]]\nname = \"base\"\nkind = \"command\"\nrun = \"x\"\nenv = { A = \"${typo}\" }\n";
    let top = r#"extends = "base.toml"
[[stage]]
name = "bsae"
remove = true
[[stage]]
name = "base"
after = "base"
[[stage]]
name = "new"
after = "bas"
kind = "command"
run = "${base.file}"
"#;
    let files = Files::new(&[
        ("base.toml", base),
        ("top.toml", top),
        ("a.toml", "extends = 'sub/b.toml'\n"),
        ("sub/b.toml", "extends = ['../base.toml', '../a.toml']\n"),
        ("missing.toml", "extends = ['none.toml', 3, 'broken.toml']\n[[stage]]\nname = 'x'\n"),
        ("broken.toml", "x\n"),
    ]);
    let all: Vec<String> = ["top.toml", "a.toml", "missing.toml"].iter().map(|name| files.errors(name)).collect();
    assert_snapshot!(all.join("\n\n"));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let error = Files::one("nme = 1\n").try_load("p.toml").unwrap_err();
    let colored = error.render(true);
    assert!(colored.contains('\u{1b}'));
    assert_eq!(anstream::adapter::strip_str(&colored).to_string(), error.render(false));
}

#[test]
fn a_secret_is_in_no_message() {
    let text = "[vars]\nkey = { secret = true, choices = ['a'], default = 'a' }\n\
                [[stage]]\nname = 's'\nkind = 'command'\nrun = 'x'\ntimeout = '${key}'\n";
    for files in [Files::one(text), Files::one(text).set("key=hunter2")] {
        assert!(!files.errors("p.toml").contains("hunter2"));
    }
}
