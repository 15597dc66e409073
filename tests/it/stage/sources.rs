//! What is read from the sources of a checkout: lists of crates of rustc-perf, and names of settings of rust.

use optbuild::stage::bootstrap::checkout::declared::{keys, top};
use optbuild::stage::gather::rustc_perf::strings;

#[test]
fn lists_in_rust_and_python() {
    let rust = "use x::LLVM_PGO_CRATES;\nfn f() { g(LLVM_PGO_CRATES) }\n\
                pub const LLVM_PGO_CRATES: &[&str] = &[\n    \"syn-1.0.89\", // \"old\"\n    \"cargo-0.60.0\",\n];\n\
                const RUSTC_PGO_CRATES: [&str; 1] = [\"externs\"];";
    assert_eq!(strings(rust, "LLVM_PGO_CRATES").unwrap(), ["syn-1.0.89", "cargo-0.60.0"]);
    assert_eq!(strings(rust, "RUSTC_PGO_CRATES").unwrap(), ["externs"]);
    let python = "LLVM_PGO_CRATES = [\n  \"syn-1.0.89\",\n  \"clap-3.1.6\"\n]\ngather(LLVM_PGO_CRATES)\n";
    assert_eq!(strings(python, "LLVM_PGO_CRATES").unwrap(), ["syn-1.0.89", "clap-3.1.6"]);
    assert_eq!(strings(python, "RUSTC_PGO_CRATES"), None);
}

#[test]
fn only_what_is_read_to_the_last_line_is_known() {
    let rust = |line: &str| {
        format!(
            "define_config! {{\n    struct Rust {{\n        {line}\n        lto: Option<String> = \"lto\", // x\n    }}\n}}\n"
        )
    };
    let known = |line: &str| keys(&rust(line), "Rust").map(|keys| keys.join(" "));
    assert_eq!(known("/// text").as_deref(), Some("lto"));
    assert_eq!(known("a_b: Option<HashMap<String, Tool>> = \"a-b\",").as_deref(), Some("a-b lto"));
    // Other forms: of 2021, over two lines, with more behind the key.
    assert_eq!(known("jemalloc: Option<bool>,"), None);
    assert_eq!(known("jemalloc: Option<bool>\n = \"jemalloc\","), None);
    assert_eq!(known("jemalloc: Option<bool> = \"jemalloc\" | \"old\","), None);
    assert_eq!(keys(&rust(""), "Llvm"), None);
}

#[test]
fn tables_are_known_where_others_are_refused() {
    let text = |attribute: &str, line: &str| {
        format!(
            "{attribute}\npub(crate) struct TomlConfig {{\n    #[serde(flatten)]\n    change_id: ChangeIdWrapper,\n    {line}\n}}\n"
        )
    };
    let deny = "#[serde(deny_unknown_fields, rename_all = \"kebab-case\")]";
    let known = |line: &str| top(&text(deny, line)).map(|names| names.join(" "));
    assert_eq!(known("pub(super) rust: Option<Rust>,").as_deref(), Some("change-id change-id rust"));
    assert_eq!(known("#[serde(alias = \"x\")]"), None);
    assert_eq!(known("rust: Option<"), None);
    assert_eq!(top(&text("#[serde(rename_all = \"kebab-case\")]", "rust: Option<Rust>,")), None);
}
