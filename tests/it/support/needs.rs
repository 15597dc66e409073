//! What tests need beyond the tools that `optbuild doctor demo --install` installs.
//!
//! A test that needs one of these asks for it here, and leaves out what it cannot do. At the end of the program one line says what was
//! left out and how to have it. It is written to standard error when the process exits: the test harness shows nothing of what a test
//! that passed has printed.
//!
//! | variable | effect |
//! |---|---|
//! | `OPTBUILD_TEST_ALL=1` | a test that lacks something fails |
//! | `OPTBUILD_TEST_WITHOUT=llvm-16,chromium` | these may be missing all the same |
//! | `OPTBUILD_TEST_LEFT_OUT=FILE` | the names of the tests that lacked something are added to this file, one a line |
//! | `OPTBUILD_TEST_LLVM_ROOT=DIRECTORY` | where unpacked packages of other LLVMs are: `DIRECTORY/usr/lib/llvm-14/bin` |

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};

/// Something that a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// clang, its profile runtime and llvm-profdata of this version.
    Llvm(u64),
    /// llvm-bolt and its runtime of this version.
    Bolt(u64),
    Chromium,
    Make,
    Meson,
    Python,
    /// tar unpacks archives with it.
    Xz,
    /// Checks signatures independently.
    Minisign,
    /// Something that counts instructions: the processor's counters, or valgrind.
    InstructionCounts,
    PidNamespaces,
    Mounts,
    /// A file system whose power can be cut.
    Ext4,
    AnotherUser,
}

impl Need {
    /// As in `OPTBUILD_TEST_WITHOUT`.
    fn name(self) -> String {
        match self {
            Need::Llvm(major) => format!("llvm-{major}"),
            Need::Bolt(major) => format!("bolt-{major}"),
            Need::Chromium => "chromium".into(),
            Need::Make => "make".into(),
            Need::Meson => "meson".into(),
            Need::Python => "python3".into(),
            Need::Xz => "xz".into(),
            Need::Minisign => "minisign".into(),
            Need::InstructionCounts => "valgrind".into(),
            Need::PidNamespaces => "pid-namespaces".into(),
            Need::Mounts => "mounts".into(),
            Need::Ext4 => "ext4".into(),
            Need::AnotherUser => "another-user".into(),
        }
    }

    fn remedy(self) -> String {
        match self {
            Need::Llvm(major) => format!("apt-get install clang-{major} llvm-{major} libclang-rt-{major}-dev"),
            Need::Bolt(major) => format!("apt-get install bolt-{major}"),
            Need::Chromium => "apt-get install chromium".into(),
            Need::Make => "apt-get install make".into(),
            Need::Meson => "apt-get install meson".into(),
            Need::Python => "apt-get install python3".into(),
            Need::Xz => "apt-get install xz-utils".into(),
            Need::Minisign => "apt-get install minisign".into(),
            Need::InstructionCounts => "apt-get install valgrind".into(),
            Need::PidNamespaces => "a user who may run `unshare --user --pid`".into(),
            Need::Mounts => "a user who may run `mount -t tmpfs`".into(),
            Need::Ext4 => "a user who may run `mkfs.ext4` and `mount -o loop`".into(),
            Need::AnotherUser => "a user who may become another one: root".into(),
        }
    }
}

/// The directory of the programs of another LLVM.
#[must_use]
pub fn llvm(major: u64) -> Option<String> {
    let below = std::env::var("OPTBUILD_TEST_LLVM_ROOT").unwrap_or_default();
    let places = [format!("/usr/lib/llvm-{major}/bin"), format!("{below}/usr/lib/llvm-{major}/bin")];
    let found = places.into_iter().find(|dir| {
        // llvm-profdata knows `--version` since LLVM 18.
        [("clang", &["--version"][..]), ("llvm-profdata", &["merge", "--help"])].iter().all(|(program, args)| {
            let mut command = Command::new(format!("{dir}/{program}"));
            succeeds(command.args(*args).env("LD_LIBRARY_PATH", libraries(dir)))
        })
    });
    found.or_else(|| left_out(Need::Llvm(major)))
}

/// The directory of another llvm-bolt.
#[must_use]
pub fn bolt(major: u64) -> Option<String> {
    let dir = format!("/usr/lib/llvm-{major}/bin");
    let runs = succeeds(Command::new(format!("{dir}/llvm-bolt")).arg("--version"));
    if runs { Some(dir) } else { left_out(Need::Bolt(major)) }
}

/// Where the libraries of an unpacked LLVM are.
pub fn libraries(bin: &str) -> String {
    let prefix = bin.split("/usr/lib/").next().unwrap_or_default();
    if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/usr/lib/x86_64-linux-gnu:{prefix}/usr/lib/llvm-14/lib")
    }
}

/// The name of a browser that runs without a window.
#[must_use]
pub fn chromium() -> Option<&'static str> {
    let runs = |name: &&str| succeeds(Command::new(name).arg("--version"));
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs).or_else(|| left_out(Need::Chromium))
}

#[must_use]
pub fn make() -> bool {
    succeeds(Command::new("make").arg("--version")) || left_out::<()>(Need::Make).is_some()
}

#[must_use]
pub fn meson() -> bool {
    succeeds(Command::new("meson").arg("--version")) || left_out::<()>(Need::Meson).is_some()
}

/// Whether python3 is there, with the modules that x.py's stand-in imports.
#[must_use]
pub fn python() -> bool {
    succeeds(Command::new("python3").args(["-c", "import lzma, tarfile"])) || left_out::<()>(Need::Python).is_some()
}

#[must_use]
pub fn xz() -> bool {
    succeeds(Command::new("xz").arg("--version")) || left_out::<()>(Need::Xz).is_some()
}

#[must_use]
pub fn minisign() -> bool {
    succeeds(Command::new("minisign").arg("-v")) || left_out::<()>(Need::Minisign).is_some()
}

/// Whether `optbuild compare` counts instructions here.
#[must_use]
pub fn instruction_counts() -> bool {
    let counts = optbuild::compare::find_valgrind().is_some();
    counts || left_out::<()>(Need::InstructionCounts).is_some()
}

/// A command that runs others in a PID namespace of their own, as root, in which the shell command `probe` succeeds.
#[must_use]
pub fn pid_namespaces(options: &[&str], probe: &str) -> Option<Box<dyn Fn() -> Command + Send + Sync>> {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let unshare = move || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]).args(&options);
        command
    };
    if succeeds(unshare().args(["--", "sh", "-c", probe])) {
        Some(Box::new(unshare))
    } else {
        left_out(Need::PidNamespaces)
    }
}

/// Whether a command that mounts a file system could do so.
#[must_use]
pub fn mounted(mount: &mut Command) -> bool {
    succeeds(mount) || left_out::<()>(Need::Mounts).is_some()
}

/// The same for a file of an ext4 file system.
#[must_use]
pub fn ext4(mount: &mut Command) -> bool {
    succeeds(mount) || left_out::<()>(Need::Ext4).is_some()
}

/// Whether processes can be started as another user.
#[must_use]
pub fn another_user() -> bool {
    rustix::process::geteuid().is_root() || left_out::<()>(Need::AnotherUser).is_some()
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// What the tests of this process lacked, and which tests.
static LEFT_OUT: Mutex<BTreeMap<Need, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Notes that the test of this thread lacks something.
#[track_caller]
fn left_out<T>(need: Need) -> Option<T> {
    let set = |name: &str| std::env::var(name).unwrap_or_default();
    let expected = set("OPTBUILD_TEST_WITHOUT").split(',').any(|name| name == need.name());
    assert!(
        expected || set("OPTBUILD_TEST_ALL") != "1",
        "this test needs {}: {} (it must not be left out: OPTBUILD_TEST_ALL=1)",
        need.name(),
        need.remedy()
    );
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| {
        // SAFETY: the function is one of this program, takes no arguments and does not unwind.
        unsafe { libc::atexit(say_at_exit) };
    });
    // The harness runs each test in a thread of its name.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner).entry(need).or_default().insert(test);
    None
}

/// Errors are of no use to anybody here, and a panic must not leave a function that C calls.
extern "C" fn say_at_exit() {
    let left_out = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let tests: BTreeSet<&String> = left_out.values().flatten().collect();
    let all: Vec<String> = left_out.keys().map(|need| format!("{} ({})", need.name(), need.remedy())).collect();
    let plural = if tests.len() == 1 { "" } else { "s" };
    let line = format!(
        "left out in {} test{plural}, which need what is not here: {}; OPTBUILD_TEST_ALL=1 makes them fail\n",
        tests.len(),
        all.join(", ")
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("OPTBUILD_TEST_LEFT_OUT") {
        let names: String = tests.iter().map(|test| format!("{test}\n")).collect();
        let file = std::fs::File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(names.as_bytes()));
    }
}
