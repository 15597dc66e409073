//! What the kinds gather, bolt, command and verify plan: exact command lines.

use super::support::{operations, pipeline, plan, plans, refused, shown};
use optbuild::plan::Action;

const PGO: &str = r#"
[[stage]]
name = "lib"
kind = "cmake"
source = "${pipeline.dir}/src"
pgo = "generate"
outputs = { so = "lib/libw.so" }

[[stage]]
name = "gather"
kind = "gather"
instrumented = "${lib.out}"
jobs = 4
env = { MODE = "train" }
workloads = [
  { name = "small", run = "${lib.out}/bin/prog 1 'two words'" },
  { name = "large", run = "prog < ${lib.so}", shell = true, cwd = "${self.build}", timeout = "2m", keep-profiles = true },
]
"#;

#[test]
fn a_gather_stage_on_a_compilers_instrumentation() {
    let pipeline = pipeline(PGO);
    let plan = plan(&pipeline, "gather").unwrap();
    assert_eq!(
        shown(&plan),
        "\
check-space: op check-space --dir <attempt> --bytes 2147483648 --key disk-budget
check-instrumented: op check-instrumented --format profdata <lib.out>
workloads: 2 at once
  beside stream-merge: op stream-merge --format profdata --tool llvm-profdata --committed <committed> --disk-budget 2147483648 --threads <jobs> --balance
  small: LLVM_PROFILE_FILE=<attempt>/raw/%m_%p.profraw MODE=train <lib.out>/bin/prog 1 two words @ <attempt>/cwd
  large (may fail): LLVM_PROFILE_FILE=<attempt>/raw/%m_%p.profraw MODE=train sh -eu -c prog < <lib.so> @ <self.build>
merge: op merge --format profdata --tool llvm-profdata --input <committed> --merged --output-dir <self.out> --name merged --threads <jobs> --max-damaged 1% --balance
check-gathered: op check-gathered --format profdata --profile <self.out>/merged-*.profdata --tool llvm-profdata --instrumented <lib.out>
-> profile = <self.out>/merged-*.profdata
"
    );
    let inputs: Vec<String> = plan.inputs().iter().map(ToString::to_string).collect();
    assert_eq!(inputs, ["lib.out", "lib.so"]);
}

#[test]
fn what_is_not_instrumented_is_refused_when_it_is_planned() {
    let refused = |text: &str| refused(text, "gather");
    assert!(refused(&PGO.replace("pgo = \"generate\"", "")).contains("stage `lib` is not instrumented"));
    let none = PGO.split("workloads").next().unwrap().to_string() + "workloads = []";
    assert!(refused(&none).contains("`gather` has no workload"));
}

#[test]
fn context_sensitive_profiles_are_merged_with_the_first_level() {
    let text = PGO.replace("pgo = \"generate\"", "pgo = { use = \"${first.profile}\" }\ncs-pgo = \"generate\"");
    let plan = plan(&pipeline(&text), "gather").unwrap();
    let operations = operations(&plan);
    let last = operations.iter().rfind(|op| op[0] == "merge").unwrap().join(" ");
    assert!(last.contains("--with <first.profile>"), "{last}");
    let attempt = operations[1].join(" ");
    assert!(!attempt.contains("--with"), "each attempt alone: {attempt}");
}

const BOLT: &str = r#"
[[stage]]
name = "tree"
kind = "command"
run = "make"
outputs = { so = "lib/libw.so" }

[[stage]]
name = "instr"
kind = "bolt"
action = "instrument"
input = "${tree.so}"
within = "${tree.out}"
slots = 2
extra-options = ["-v=1"]

[[stage]]
name = "gather"
kind = "gather"
instrumented = "${instr.file}"
env = { LD_LIBRARY_PATH = "${instr.out}/lib" }
workloads = [
  { name = "a", run = "${instr.out}/bin/main ${instr.file}" },
  { name = "b", run = "${instr.out}/bin/main" },
  { name = "c", run = "${instr.out}/bin/main" },
]

[[stage]]
name = "final"
kind = "bolt"
action = "optimize"
input = "${tree.out}/lib/libw.so"
within = "${tree.out}"
profile = "${gather.profile}"
"#;

#[test]
fn an_instrument_stage_makes_a_copy_per_slot() {
    assert_eq!(
        shown(&plan(&pipeline(BOLT), "instr").unwrap()),
        "\
check-input: op check-bolt-input --output <self.scratch>/slot-0/libw.so --instrument <tree.so>
bolt-0: llvm-bolt <tree.so> -instrument --instrumentation-file=<self.build>/profiles/slot-0/prof --instrumentation-file-append-pid -v=1 -o <self.scratch>/slot-0/libw.so @ <self.scratch>/slot-0
check-bolted-0: op check-bolted --input <tree.so> <self.scratch>/slot-0/libw.so
shadow-0: op shadow --from <tree.out> --to <self.out>/slot-0 --replace lib/libw.so --with <self.scratch>/slot-0/libw.so
profile-path-0: printf %s\\n <self.build>/profiles/slot-0/prof > <self.out>/slot-0.path @ <self.build>/profiles/slot-0
bolt-1: llvm-bolt <tree.so> -instrument --instrumentation-file=<self.build>/profiles/slot-1/prof --instrumentation-file-append-pid -v=1 -o <self.scratch>/slot-1/libw.so @ <self.scratch>/slot-1
check-bolted-1: op check-bolted --input <tree.so> <self.scratch>/slot-1/libw.so
shadow-1: op shadow --from <tree.out> --to <self.out>/slot-1 --replace lib/libw.so --with <self.scratch>/slot-1/libw.so
profile-path-1: printf %s\\n <self.build>/profiles/slot-1/prof > <self.out>/slot-1.path @ <self.build>/profiles/slot-1
-> out = <self.out>/slot-0 (fixed)
-> file = <self.out>/slot-0/lib/libw.so (fixed)
-> slots = <self.out> (fixed)
"
    );
}

#[test]
fn workloads_run_the_copy_of_their_slot() {
    assert_eq!(
        shown(&plan(&pipeline(BOLT), "gather").unwrap()),
        "\
check-space: op check-space --dir <attempt> --bytes 2147483648 --key disk-budget
check-instrumented: op check-instrumented --format fdata <instr.slots>/slot-0/lib/libw.so
workloads: 2 at once
  beside stream-merge: op stream-merge --format fdata --tool merge-fdata --committed <committed> --slots <instr.slots> --disk-budget 2147483648 --threads <jobs> --balance
  before clear-slot: op clear-slot --path-file <instr.slots>/slot-<slot>.path
  a: LD_LIBRARY_PATH=<instr.slots>/slot-<slot>/lib <instr.slots>/slot-<slot>/bin/main <instr.slots>/slot-<slot>/lib/libw.so @ <attempt>/cwd
  b: LD_LIBRARY_PATH=<instr.slots>/slot-<slot>/lib <instr.slots>/slot-<slot>/bin/main @ <attempt>/cwd
  c: LD_LIBRARY_PATH=<instr.slots>/slot-<slot>/lib <instr.slots>/slot-<slot>/bin/main @ <attempt>/cwd
merge: op merge --format fdata --tool merge-fdata --input <committed> --merged --output-dir <self.out> --name merged --threads <jobs> --max-damaged 1% --balance
check-gathered: op check-gathered --format fdata --profile <self.out>/merged-*.fdata --instrumented <instr.slots>/slot-0/lib/libw.so
-> profile = <self.out>/merged-*.fdata
"
    );
}

#[test]
fn an_optimize_stage_with_the_option_set_of_rustcs_own_builds() {
    assert_eq!(
        shown(&plan(&pipeline(BOLT), "final").unwrap()),
        "\
check-input: op check-bolt-input --output <self.scratch>/libw.so <tree.out>/lib/libw.so
check-profile: op check-profile --profile <gather.profile> --compiler llvm-bolt
plain-debug: op plain-debug --output <self.scratch>/input/libw.so <tree.out>/lib/libw.so
bolt: llvm-bolt <self.scratch>/input/libw.so -data <gather.profile> -reorder-blocks=ext-tsp -reorder-functions=cdsort -split-functions -split-strategy=cdsplit -split-all-cold -jump-tables=move -icf=all -update-debug-sections -dyno-stats -o <self.scratch>/libw.so @ <self.scratch>
compress-like: op compress-like --like <tree.out>/lib/libw.so <self.scratch>/libw.so
check-bolted: op check-bolted --input <tree.out>/lib/libw.so <self.scratch>/libw.so
shadow: op shadow --from <tree.out> --to <self.out> --replace lib/libw.so --with <self.scratch>/libw.so
statistics: op bolt-statistics --logs <logs> --step bolt
-> out = <self.out>
-> file = <self.out>/lib/libw.so
"
    );
    let alone = BOLT.replace("within = \"${tree.out}\"\nprofile", "options = [\"-icf=1\"]\nprofile");
    let shown = shown(&plan(&pipeline(&alone), "final").unwrap());
    assert!(shown.contains("-data <gather.profile> -icf=1 -o <self.out>/libw.so @ <self.out>\n"), "{shown}");
    assert!(shown.contains("-> file = <self.out>/libw.so\n") && !shown.contains("shadow"), "{shown}");
    // Without debug sections there is nothing that would have to be decompressed.
    assert!(shown.contains("bolt: llvm-bolt <tree.out>/lib/libw.so -data") && !shown.contains("debug"), "{shown}");
}

/// Another process writes the profile, to one file for all that are instrumented, and a workload waits for it.
#[test]
fn a_program_that_has_its_profile_written_while_it_runs() {
    let sleeps = BOLT.replace("\"-v=1\"", "\"--instrumentation-sleep-time=2\"");
    let shown = shown(&plan(&pipeline(&sleeps), "instr").unwrap());
    let options = "-instrument --instrumentation-file=<self.build>/profiles/slot-0/prof.0.fdata \
                   --instrumentation-sleep-time=2 -instrumentation-no-counters-clear -o";
    assert!(shown.contains(options), "{shown}");
    assert!(shown.contains("--instrument --sleeps <tree.so>"), "{shown}");
    let gather = plan(&pipeline(&sleeps), "gather").unwrap();
    let pools = gather.steps.iter().filter_map(|step| match &step.action {
        Action::Pool(pool) => Some(pool),
        _ => None,
    });
    for workload in pools.flat_map(|pool| &pool.workloads) {
        assert!(workload.command.leave.is_some(), "{}", workload.name);
    }
}

#[test]
fn bolt_stages_that_make_no_sense() {
    let refused = |from: &str, to: &str, stage: &str| {
        let text = BOLT.replace(from, to);
        assert_ne!(text, BOLT);
        refused(&text, stage)
    };
    assert!(refused("profile = \"${gather.profile}\"", "", "final").contains("optimises without a `profile`"));
    assert!(
        refused("input = \"${tree.so}\"", "input = \"/elsewhere/x.so\"", "instr").contains("does not lie in `within`")
    );
    assert!(refused("input = \"${tree.so}\"", "input = \"${tree.out}\"", "instr").contains("does not lie in `within`"));
    assert!(
        refused("input = \"${tree.so}\"", "input = \"${self.out}/x.so\"", "instr").contains("never write to its input")
    );
    assert!(
        refused("instrumented = \"${instr.file}\"", "instrumented = \"${final.file}\"", "gather")
            .contains("instrument")
    );
    let twice = format!(
        "{BOLT}\n[[stage]]\nname = \"again\"\nkind = \"gather\"\ninstrumented = \"${{instr.out}}\"\nworkloads = [{{ name = \"x\", run = \"x\" }}]\n"
    );
    let message = plan(&pipeline(&twice), "gather").unwrap_err().to_string();
    assert!(message.contains("stage `again` gathers on `instr` too"), "{message}");
    assert!(plan(&pipeline(&twice.replace("name = \"again\"", "name = \"again\"\nwhen = false")), "gather").is_ok());
}

#[test]
fn sampling_puts_perf_in_front_and_says_what_the_machine_lacks() {
    let text = BOLT.replace("instrumented = \"${instr.file}\"", "instrumented = \"${tree.so}\"\nmethod = \"sampling\"");
    let plan = plan(&pipeline(&text), "gather").unwrap();
    let shown = shown(&plan);
    assert!(
        shown.contains(
            " perf record -e cycles:u -j any,u -o <attempt>/perf.data -- <instr.out>/bin/main @ <attempt>/cwd\n"
        ),
        "{shown}"
    );
    assert!(shown.contains("after perf2bolt: LD_LIBRARY_PATH=<instr.out>/lib perf2bolt -p <attempt>/perf.data -o <attempt>/raw/perf.fdata <tree.so> @ <attempt>/raw\n"), "{shown}");
    assert!(!shown.contains("check-instrumented"), "{shown}");
    assert!(plan.gaps.iter().any(|gap| gap.what.contains("branch records")), "{:?}", plan.gaps);
}

#[test]
fn a_commands_outputs_are_in_out_or_captured() {
    let text = r#"
[[stage]]
name = "c"
kind = "command"
run = ["make", "all"]
outputs = { lib = "${self.build}/x/libw.so", table = "${self.out}/table.txt", plain = "a/b" }
show = ["table"]
"#;
    let stage = plan(&pipeline(text), "c").unwrap();
    assert_eq!(
        shown(&stage),
        "\
run: make all @ <self.build>
capture-lib: op capture --from <self.build>/x/libw.so --to <self.out>/x/libw.so
-> out = <self.out>
-> lib = <self.out>/x/libw.so
-> plain = <self.out>/a/b
-> table = <self.out>/table.txt
"
    );
    assert!(stage.outputs.iter().all(|output| output.show == (output.name == "table")));
    let refused = |from: &str, to: &str| refused(&text.replace(from, to), "c");
    assert!(refused("\"a/b\"", "\"../b\"").contains("outputs.plain"));
    assert!(refused("\"a/b\"", "\"/b\"").contains("lies elsewhere"));
    assert!(refused("[\"table\"]", "[\"tabel\"]").contains("no output `tabel`"));
}

#[test]
fn a_verify_stage_keeps_what_tests_print_and_compares() {
    let text = r#"
[[stage]]
name = "v"
kind = "verify"
tests = [
  { name = "q[n=1]", run = "a/b 1", same-as = { run = "c/d 1", env = { X = "2" } }, env = { X = "1" }, timeout = "5s" },
  { name = "q n=1", run = "x", cwd = "${self.build}" },
  { name = "q/n=1", run = "x" },
]
"#;
    let stage = plan(&pipeline(text), "v").unwrap();
    assert_eq!(
        shown(&stage),
        "\
q[n=1]: X=1 a/b 1 > <self.out>/q[n=1].txt @ <self.scratch>/q[n=1]
q[n=1].base: X=2 c/d 1 > <self.out>/q[n=1].base.txt @ <self.scratch>/q[n=1].base
q[n=1].same: op same --left <self.out>/q[n=1].txt --right <self.out>/q[n=1].base.txt --label q[n=1]
q-n=1: x > <self.out>/q-n=1.txt @ <self.build>
q-n=1-2: x > <self.out>/q-n=1-2.txt @ <self.scratch>/q-n=1-2
-> out = <self.out>
"
    );
}

#[test]
fn every_planned_operation_is_one() {
    let cs = PGO.replace("pgo = \"generate\"", "pgo = { use = \"x\" }\ncs-pgo = \"generate\"");
    for text in [PGO, &cs, BOLT] {
        let all: Vec<_> = plans(&pipeline(text)).iter().flat_map(operations).collect();
        assert!(all.len() > 2);
        for argv in all {
            // The number of jobs is known when the step starts.
            let argv: Vec<String> = argv.iter().map(|arg| arg.replace("<jobs>", "2")).collect();
            assert!(optbuild::op::read(&argv).is_ok(), "{argv:?}");
        }
    }
}
