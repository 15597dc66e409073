//! What the tests of comparisons share: a program whose work is known, and the result as JSON.

use serde_json::Value;

use crate::support::Ran;

/// Sums in a loop as often as its argument says. `WORK` is how much it does each time, `TEXT` what it prints.
pub const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    volatile unsigned sum = 0;
    unsigned long count = strtoul(argv[1], 0, 10) * WORK;
    for (unsigned long i = 0; i < count; i++) sum += (unsigned)i;
    volatile char *memory = malloc(MEMORY);
    for (unsigned long at = 0; at < MEMORY; at += 4096) memory[at] = 1;
    printf("%s %s\n", TEXT, argc > 2 ? argv[2] : memory[0] == 1 ? "done" : "");
    return STATUS;
}
"#;

pub fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr))
}

pub fn metric<'a>(result: &'a Value, workload: usize, name: &str) -> &'a Value {
    let metrics = result["workloads"][workload]["metrics"].as_array().unwrap();
    metrics.iter().find(|measured| measured["metric"] == name).unwrap_or_else(|| panic!("{name}: {result:#}"))
}
