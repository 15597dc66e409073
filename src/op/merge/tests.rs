use super::*;

#[test]
fn nothing_written_says_where_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    let merge = Merge {
        format: Format::Profdata,
        tool: "llvm-profdata".into(),
        input: vec![dir.join("raw")],
        merged: false,
        with: Vec::new(),
        output: Some(dir.join("profile.profdata")),
        output_dir: None,
        name: None,
        threads: 1,
        consume: false,
        max_damaged: "1%".parse().unwrap(),
    };
    let error = merge.run().unwrap_err().to_string();
    assert!(error.contains("wrote no raw profile"), "{error}");
    assert!(error.contains(dir.join("raw").as_str()), "{error}");
    assert!(error.contains("LLVM_PROFILE_FILE"), "{error}");
    assert!(!dir.join("profile.profdata").exists());
}
