//! The pipelines that are killed.

/// Functions for the scripts of stages. `did WORD` notes that something is done; `point NAME` says that the script has come
/// there, and waits as long as the test holds it.
pub const FUNCTIONS: &str = r#"
did() { echo "$1" >> "$LC_DIR/work"; }
point() {
  [ -e "$LC_DIR/hold-$1" ] || return 0
  touch "$LC_DIR/at-$1"
  while [ -e "$LC_DIR/hold-$1" ]; do sleep 0.02 || :; done
}
"#;

/// A `command` stage. What comes after `run` is a script with [`FUNCTIONS`]; `keys` are further lines of the stage.
pub fn stage(name: &str, keys: &str, script: &str) -> String {
    format!(
        "[[stage]]\nname = \"{name}\"\nkind = \"command\"\nshell = true\n{keys}\nrun = '''{}{script}'''\n\n",
        FUNCTIONS.replace("${", "$${")
    )
}

/// An instrumented C program, `loop N`, whose function `step` is called N times and `twice` twice as often; further arguments
/// make it fail, or hang, or be killed after it has written its profile.
pub fn program() -> String {
    let source = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int __llvm_profile_write_file(void);
__attribute__((noinline)) int twice(int x) { return x * 2; }
__attribute__((noinline)) int step(int x) { return twice(x) + twice(x + 1); }
int main(int argc, char **argv) {
  int sum = 0;
  for (int i = 0; i < atoi(argv[1]); i++) sum += step(i);
  printf("%d\n", sum);
  fflush(stdout);
  const char *then = argc > 2 ? argv[2] : "";
  if (!strcmp(then, "fail")) return 3;
  if (!strcmp(then, "hang")) { __llvm_profile_write_file(); sleep(300); }
  if (!strcmp(then, "abort")) { __llvm_profile_write_file(); abort(); }
  if (!strcmp(then, "silent")) _exit(0);
  return 0;
}
"#;
    stage(
        "program",
        "outputs = { loop = \"loop\" }",
        &format!(
            "did program\ncat > loop.c <<'END'\n{source}END\n\
             clang-22 -O1 -fprofile-generate loop.c -o ${{self.out}}/loop\npoint program\n"
        ),
    )
}

/// A `gather` stage on that program, whose workloads are only added up, so that a test knows the counts. Each workload: name, further keys,
/// script.
pub fn gather(keys: &str, workloads: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "[[stage]]\nname = \"gather\"\nkind = \"gather\"\ninstrumented = \"${{program.loop}}\"\nprofdata = \"llvm-profdata-22\"\njobs = 1\nbalance = false\n{keys}\n"
    );
    for (name, keys, script) in workloads {
        text.push_str(&format!(
            "[[stage.workloads]]\nname = \"{name}\"\nshell = true\n{keys}\nrun = '''{}{script}'''\n",
            FUNCTIONS.replace("${", "$${")
        ));
    }
    text.push('\n');
    text
}

/// Stages that finish, a build with ninja that is continued, workloads that are committed, and a stage that uses them all.
pub fn whole() -> String {
    let ninja = r#"
did ninja
cat > build.ninja <<'END'
rule make
  command = sh -c '. ./functions; did edge-$out; cat $in > $out.part; echo $out >> $out.part; point edge-$out; mv $out.part $out'
build a: make base
build b: make a
build c: make b
build d: make base
END
cp ${plain.out}/text base.new
cmp -s base.new base || mv base.new base
rm -f base.new
cat > functions <<'END'
did() { echo "$1" >> "$LC_DIR/work"; }
point() {
  [ -e "$LC_DIR/hold-$1" ] || return 0
  touch "$LC_DIR/at-$1"
  while [ -e "$LC_DIR/hold-$1" ]; do sleep 0.02 || :; done
}
END
ninja -j 1 > ninja.log
cat c d > ${self.out}/text
"#;
    let workload = |name: &str| format!("did {name}\npoint {name}\n${{program.loop}} 10\n");
    let (w1, w2, w3) = (workload("w1"), workload("w2"), workload("w3"));
    let stages = [
        stage("plain", "outputs = { text = \"text\" }", "did plain\npoint plain\necho plain > ${self.out}/text\n"),
        program(),
        stage("build", "outputs = { text = \"text\" }", ninja),
        gather("needs = [\"build\"]", &[("w1", "", &w1), ("w2", "", &w2), ("w3", "", &w3)]),
        stage(
            "result",
            "outputs = { text = \"text\" }",
            "did result\npoint result\ncat ${build.text} > ${self.out}/text\n\
             llvm-profdata-22 show --all-functions --counts ${gather.profile} >> ${self.out}/text\n",
        ),
    ];
    let outputs = "[outputs]\n\"result.txt\" = \"${result.text}\"\nprofile = \"${gather.profile}\"\n\n";
    format!("name = \"whole\"\n\n{outputs}{}", stages.concat())
}

/// Many quick stages of every sort: independent ones, a workspace, workloads, a failure that is tolerated, a fallback.
pub fn many() -> String {
    let workload = |n: u32| format!("did w{n}\nsleep 0.0{n}\n${{program.loop}} {n}0\n");
    let (w1, w2, w3, w4) = (workload(1), workload(2), workload(3), workload(4));
    let stages = [
        stage("plain", "jobs = 1\noutputs = { text = \"text\" }", "did plain\necho plain > ${self.out}/text\n"),
        program(),
        stage(
            "tree-a",
            "jobs = 1\nworkspace = \"tree\"\noutputs = { tree = \"${self.build}/tree\" }",
            "did tree-a\nmkdir -p tree\necho one > tree/one\nsleep 0.03\necho two > tree/two\nrm -f tree/three\n",
        ),
        stage(
            "tree-b",
            "jobs = 1\nworkspace = \"tree\"\noutputs = { tree = \"${self.build}/tree\" }",
            "did tree-b\ncat tree/one tree/two > tree/three.new\nsleep 0.03\nmv tree/three.new tree/three\n",
        ),
        gather("jobs = 2", &[("w1", "", &w1), ("w2", "", &w2), ("w3", "", &w3), ("w4", "", &w4)]).replacen(
            "jobs = 1\n",
            "",
            1,
        ),
        stage(
            "optional",
            "jobs = 1\non-failure = \"continue\"\noutputs = { text = \"text\" }",
            "did optional\nsleep 0.03\necho bad > ${self.out}/text\nexit 1\n",
        ),
        stage(
            "joined",
            "jobs = 1\noutputs = { text = \"text\" }",
            "did joined\ncat ${optional.text | plain.text} ${tree-b.tree}/three > ${self.out}/text\n",
        ),
        stage(
            "result",
            "check = [{ run = \"test -s ${self.out}/text\", shell = true }]\noutputs = { text = \"text\" }",
            "did result\ncat ${joined.text} ${tree-a.tree}/two > ${self.out}/text\n\
             llvm-profdata-22 show --all-functions --counts ${gather.profile} >> ${self.out}/text\n",
        ),
    ];
    let outputs = "[outputs]\n\"result.txt\" = \"${result.text}\"\nprofile = \"${gather.profile}\"\n\
                   tree = \"${tree-b.tree}\"\n\n";
    format!("name = \"many\"\n\n{outputs}{}", stages.concat())
}
