//! Signals that the tests' own start ignores, made as a terminal has them: `nohup cargo test`, or a script's `cargo test &`, hands
//! ignored signals down to all that is started. optbuild leaves those ignored, so that a test that sends one would wait for ever.

/// Set for the copies of this test program that are to find signals as they were handed down.
pub const AS_HANDED_DOWN: &str = "OPTBUILD_TEST_SIGNALS";

/// Runs before `main`, while there is one thread.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = restore;

extern "C" fn restore() {
    if std::env::var_os(AS_HANDED_DOWN).is_none() {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: no other thread runs, and no handler is installed.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}
