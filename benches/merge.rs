//! Raw profiles of a big program, merged by `optbuild merge` and by `llvm-profdata merge` side by side.
//!
//! `cargo bench --bench merge -- [COUNT…]`: how many profiles (default 25 400). `LLVM` names the directory of clang and
//! llvm-profdata, `ROUNDS` how often each is measured (default 5), `OTHER` another optbuild to measure beside this one. The data is made once, in `target/bench-merge`. In each round
//! every command runs once, so that what else the machine does meets all of them; figures are medians of rounds.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use optbuild::proc::used_by_children;
use optbuild::profile::{indexed, raw};

const PARTS: usize = 24;
const FUNCTIONS: usize = 500;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    match words.as_slice() {
        ["fold", list, work, threads] => fold(list, work, threads.parse()?),
        ["convert", sum, output] => convert(sum, output).map(drop),
        ["read-back", sum, output] => {
            let profile = convert(sum, output)?;
            indexed::check(&std::fs::read(output)?, &profile, 13).map_err(anyhow::Error::msg)
        }
        ["measure", command @ ..] => measure(command),
        counts => table(&if counts.is_empty() { vec!["25", "400"] } else { counts.to_vec() }),
    }
}

fn fold(list: &str, work: &str, threads: usize) -> Result<()> {
    let text = std::fs::read_to_string(list)?;
    let files: Vec<Utf8PathBuf> =
        text.lines().filter_map(|line| line.split_once(',')).map(|(_, path)| path.into()).collect();
    let folded = raw::fold(&files, Utf8Path::new(work), threads)?;
    ensure!(folded.added == files.len() && folded.left.len() == 1, "{folded:?}");
    std::fs::rename(&folded.left[0], Utf8Path::new(work).join("sum"))?;
    Ok(())
}

fn convert(sum: &str, output: &str) -> Result<indexed::Profile> {
    let profile = indexed::Profile::read(&[sum.into()])?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    std::fs::write(output, profile.write(13).context("an unknown version")?)?;
    Ok(profile)
}

/// Runs a command and prints its seconds, its processor seconds and its memory in kilobytes.
fn measure(command: &[&str]) -> Result<()> {
    let begin = Instant::now();
    let status = Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).status()?;
    let wall = begin.elapsed().as_secs_f64();
    ensure!(status.success(), "{command:?}: {status}");
    let used = used_by_children()?;
    println!("{wall} {} {}", used.user + used.system, used.peak_memory / 1024);
    Ok(())
}

/// Seconds of wall time and of processors, megabytes.
type Cost = [f64; 3];

fn cost(command: &[String]) -> Result<Cost> {
    let output =
        Command::new(std::env::current_exe()?).arg("measure").args(command).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, cpu, kilobytes] = numbers.as_slice() else { anyhow::bail!("{command:?} failed") };
    Ok([*wall, *cpu, kilobytes / 1024.0])
}

/// Reads all profiles, so that every command finds them in the cache as fresh as the one before it did: on a virtual machine, pages that
/// were not touched for some seconds take twice as long.
fn warm(list: &Utf8Path) -> Result<()> {
    let text = std::fs::read_to_string(list)?;
    for (_, path) in text.lines().filter_map(|line| line.split_once(',')) {
        std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::sink())?;
    }
    Ok(())
}

/// Runs all commands in turn, in as many rounds. Returns the median of each figure.
fn costs(commands: &[Vec<String>], rounds: usize, list: &Utf8Path) -> Result<Vec<Cost>> {
    let mut all: Vec<Vec<Cost>> = vec![Vec::new(); commands.len()];
    for _ in 0..rounds {
        for (command, costs) in commands.iter().zip(&mut all) {
            warm(list)?;
            costs.push(cost(command)?);
        }
    }
    let median = |costs: &Vec<Cost>, figure: usize| {
        let mut values: Vec<f64> = costs.iter().map(|cost| cost[figure]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Ok(all.iter().map(|costs| [0, 1, 2].map(|figure| median(costs, figure))).collect())
}

fn table(counts: &[&str]) -> Result<()> {
    let llvm = std::env::var("LLVM").unwrap_or_else(|_| "/usr/lib/llvm-22/bin".into());
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let dir = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-merge"));
    program(&llvm, &dir)?;
    // SAFETY: there is no other thread.
    unsafe { std::env::set_var("XDG_CACHE_HOME", dir.join("cache")) };
    let size = |path: &Utf8Path| -> Result<f64> { Ok(std::fs::metadata(path)?.len() as f64) };
    println!(
        "program: {:.1} MB; wall and CPU in seconds, peak memory in MB; medians of {rounds}",
        size(&dir.join("prog"))? / 1e6
    );
    println!("{:<40} {:>8} {:>8} {:>8}", "", "wall", "CPU", "memory");
    for count in counts {
        let count: usize = count.parse().context("a count of profiles")?;
        let (list, files) = profiles(&dir, count)?;
        let largest = size(&dir.join("raw/1.profraw"))?;
        let bytes = largest * count as f64;
        println!("{count} profiles, {:.0} MB ({:.2} MB each)", bytes / 1e6, largest / 1e6);
        for threads in ["1", "2"] {
            let strings = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
            let profdata = format!("{llvm}/llvm-profdata");
            let (theirs, ours, converted) =
                (dir.join("theirs.profdata"), dir.join("ours.profdata"), dir.join("converted"));
            let sum = dir.join("sum");
            let flag = format!("--num-threads={threads}");
            let own = std::env::current_exe()?.to_string_lossy().into_owned();
            let merge = |optbuild: &str, output: &Utf8Path| {
                let args = ["merge", "-j", threads, "--profdata", &profdata, "-o", output.as_str(), files.as_str()];
                strings(&[&[optbuild], &args[..]].concat())
            };
            let (this, other) = (env!("CARGO_BIN_EXE_optbuild"), std::env::var("OTHER").ok());
            let mut commands = vec![
                strings(&[&profdata, "merge", &flag, &format!("--input-files={list}"), "-o", theirs.as_str()]),
                merge(this, &ours),
                strings(&[&own, "fold", list.as_str(), dir.as_str(), threads]),
                strings(&[&own, "convert", sum.as_str(), converted.as_str()]),
                strings(&[&own, "read-back", sum.as_str(), converted.as_str()]),
                strings(&[&profdata, "merge", sum.as_str(), "-o", converted.as_str()]),
            ];
            commands.extend(other.map(|other| merge(&other, &dir.join("other.profdata"))));
            // The first merge compares what both write, and so may each later one: the median does not.
            [&commands[1]].into_iter().chain(commands.get(6)).try_for_each(|merge| cost(merge).map(drop))?;
            let costs = costs(&commands, rounds, &list)?;
            if threads == "1" {
                ensure!(std::fs::read(&theirs)? == std::fs::read(&ours)?, "the results differ");
            }
            let row = |name: &str, [wall, cpu, megabytes]: Cost, more: String| {
                println!("  {name:<38} {wall:>8.3} {cpu:>8.3} {megabytes:>8.1}  {more}");
            };
            let (theirs, ours, fold) = (costs[0], costs[1], costs[2]);
            row(&format!("llvm-profdata merge, {threads} threads"), theirs, String::new());
            let times = format!("{:.1} times faster, {:.1} times less CPU", theirs[0] / ours[0], theirs[1] / ours[1]);
            row(&format!("optbuild merge, {threads} threads"), ours, times);
            let speed = format!("{:.2} GB/s, {:.2} GB/s per core", bytes / 1e9 / fold[0], bytes / 1e9 / fold[1]);
            row("  the sum alone", fold, speed);
            row("  its conversion alone", costs[3], String::new());
            row("  its conversion, read back", costs[4], String::new());
            row("  its conversion by llvm-profdata", costs[5], String::new());
            if let Some(other) = costs.get(6) {
                let times = format!(
                    "this one takes {:.2} of its time, {:.2} of its CPU",
                    ours[0] / other[0],
                    ours[1] / other[1]
                );
                row("another optbuild", *other, times);
            }
        }
    }
    Ok(())
}

/// A program with many functions, counters, indirect calls and memory operations. Which parts run depends on its
/// argument. `main` calls more functions than a site can hold, and is not instrumented.
fn program(llvm: &str, dir: &Utf8Path) -> Result<()> {
    if dir.join("prog").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    for part in 0..PARTS {
        let mut text = String::from(
            "#include <string.h>\nextern char to[4096], from[4096];\nextern int (*all[])(int);\nnamespace a_namespace_with_a_name {\n",
        );
        for function in 0..FUNCTIONS {
            let n = part * FUNCTIONS + function;
            writeln!(text, "__attribute__((noinline)) int function_{n}(int x, struct parameter *, int) {{ int s = x;")?;
            writeln!(
                text,
                "if (x % 3 == 0) s += {n}; else if (x & 8) s ^= {n};\nfor (int i = 0; i < x % 5; i++) s += i * {n};"
            )?;
            for step in 0..70 {
                writeln!(
                    text,
                    "s = s * {} + (s >> {}); to[{}] = s;",
                    2 * (n + step) + 3,
                    1 + (step + n) % 30,
                    (n * 7 + step * 5) % 4096
                )?;
            }
            if n.is_multiple_of(3) {
                writeln!(text, "memcpy(to, from, (unsigned)(x * {n}) % 999);")?;
            }
            if n.is_multiple_of(4) {
                writeln!(text, "if (x > 0) s += all[(unsigned)(x * 31 + {n}) % {}](x - 1);", PARTS * FUNCTIONS)?;
            }
            writeln!(text, "return s; }}")?;
        }
        text.push_str("}\n");
        for function in 0..FUNCTIONS {
            let n = part * FUNCTIONS + function;
            writeln!(text, "int f{n}(int x) {{ return a_namespace_with_a_name::function_{n}(x, nullptr, x); }}")?;
        }
        std::fs::write(dir.join(format!("part{part}.cc")), text)?;
    }
    let mut text = String::from("#include <stdlib.h>\nchar to[4096], from[4096];\n");
    let of_all = |text: &mut String, form: &dyn Fn(usize) -> String| {
        (0..PARTS * FUNCTIONS).for_each(|n| text.push_str(&form(n)))
    };
    of_all(&mut text, &|n| format!("int f{n}(int);\n"));
    text.push_str("int (*all[])(int) = {\n");
    of_all(&mut text, &|n| format!("f{n},\n"));
    let total = PARTS * FUNCTIONS;
    writeln!(
        text,
        "}};\n__attribute__((no_profile_instrument_function)) int main(int, char **v) {{ unsigned n = atoi(v[1]); int s = 0;\nfor (unsigned i = 0; i < 9000; i++) s += all[(i * n * 7 + i) % {total}]((i + n) % 7);\nreturn s == 7; }}"
    )?;
    std::fs::write(dir.join("main.cc"), text)?;
    let script = "ls part*.cc main.cc | xargs -P 2 -I{} \"$0/clang++\" -O0 -fprofile-generate -c {} -o {}.o \
                  && \"$0/clang++\" -fprofile-generate -fuse-ld=lld *.o -o prog.new && mv prog.new prog";
    let status = Command::new("sh").args(["-ec", script, llvm]).current_dir(dir).status()?;
    ensure!(status.success(), "the program could not be built");
    Ok(())
}

/// So many profiles, one process each: a list of them for llvm-profdata, and a directory that has just these.
fn profiles(dir: &Utf8Path, count: usize) -> Result<(Utf8PathBuf, Utf8PathBuf)> {
    let mut lines = String::new();
    let (all, few) = (dir.join("raw"), dir.join(format!("raw{count}")));
    std::fs::create_dir_all(&few)?;
    for number in 1..=count {
        let path = all.join(format!("{number}.profraw"));
        if !path.exists() {
            Command::new(dir.join("prog"))
                .arg(number.to_string())
                .env("LLVM_PROFILE_FILE", &path)
                .stderr(Stdio::null())
                .status()?;
        }
        let link = few.join(format!("{number:05}.profraw"));
        if !link.exists() {
            std::fs::hard_link(&path, &link)?;
        }
        writeln!(lines, "1,{link}")?;
    }
    let list = dir.join(format!("list{count}"));
    std::fs::write(&list, lines)?;
    Ok((list, few))
}
