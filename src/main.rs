fn main() -> std::process::ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("supervise") => optbuild::run::supervisor::supervise(),
        _ => std::process::ExitCode::from(2),
    }
}
