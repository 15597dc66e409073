//! The names that `x.py` takes in its configuration, where the checkout's sources declare them in a form that is read to the last one.
//!
//! Since 2022 a table is a macro's `struct`, a line for each field: `field: Option<bool> = "key",`. All other names are errors there.
//! Unaware of what they mean.

/// Which `struct` declares a table; none for those whose keys are not looked for.
pub(super) fn of_table(table: &str) -> Option<&'static str> {
    Some(match table {
        "build" => "Build",
        "dist" => "Dist",
        "gcc" => "Gcc",
        "install" => "Install",
        "llvm" => "Llvm",
        "rust" => "Rust",
        "target" => "TomlTarget",
        _ => return None,
    })
}

/// The lines between the braces of a declaration, without space around them.
pub(super) fn fields<'a>(config: &'a str, declared: &str) -> Option<impl Iterator<Item = &'a str>> {
    let (_, rest) = config.split_once(&format!("struct {declared} {{"))?;
    // Up to the brace that closes it, which stands on a line of its own.
    Some(rest.lines().map(str::trim).take_while(|line| *line != "}"))
}

fn is_no_field(line: &str) -> bool {
    line.is_empty() || line.starts_with("//") || line.starts_with("#[") && line.ends_with(']')
}

/// All keys of a table; none if a line of the declaration is anything else than a field with its key, a comment or an attribute.
pub fn keys<'a>(config: &'a str, declared: &str) -> Option<Vec<&'a str>> {
    let mut keys = Vec::new();
    for line in fields(config, declared)? {
        if is_no_field(line) {
            continue;
        }
        let (_, rest) = line.split_once(": Option<")?;
        let (_, rest) = rest.split_once("> = \"")?;
        let (key, end) = rest.split_once('"')?;
        if !end.starts_with(',') {
            return None;
        }
        keys.push(key);
    }
    (!keys.is_empty()).then_some(keys)
}

/// What may stand in a configuration outside of tables, tables among it; none as with [`keys`], or where others would not be refused.
pub fn top(config: &str) -> Option<Vec<String>> {
    let (before, _) = config.split_once("struct TomlConfig {")?;
    let attribute = before.lines().rev().take(3).find(|line| line.trim_start().starts_with("#[serde("))?;
    if !attribute.contains("deny_unknown_fields") {
        return None;
    }
    // Of a field that is taken apart into others: it holds nothing else.
    let mut names = vec!["change-id".to_string()];
    for line in fields(config, "TomlConfig")? {
        if line.starts_with("#[serde(rename") || line.starts_with("#[serde(alias") {
            return None;
        }
        if is_no_field(line) {
            continue;
        }
        let (name, kind) = line.split_once(": ")?;
        if !kind.ends_with(',') {
            return None;
        }
        names.push(name.rsplit(' ').next().unwrap_or(name).replace('_', "-"));
    }
    Some(names)
}
