//! Builds that are made otherwise than the build that their profile is of.

use optbuild::stage::unlike;

use super::support::Files;

/// A build with counters and the one that uses its profile, of a kind and with keys of their own.
fn unlike_with(kind: &str, trained: &str, last: &str) -> Vec<String> {
    let files = Files::new(&[(
        "p.toml",
        &format!(
            "[template.app]\nkind = '{kind}'\n{}\n[[stage]]\nname = 'counting'\nlike = 'app'\npgo = 'generate'\n{trained}\n\
             [[stage]]\nname = 'profile'\nkind = 'gather'\ninstrumented = '${{counting.out}}/bin/app'\n\
             workloads = [{{ name = 'w', run = ['{{program}}'] }}]\n\
             [[stage]]\nname = 'last'\nlike = 'app'\npgo = {{ use = '${{profile.profile}}' }}\n{last}\n",
            if kind == "cargo" { "manifest = 'Cargo.toml'\nbins = ['app']" } else { "source = '.'" }
        ),
    )]);
    unlike(&files.load("p.toml"))
}

/// What is used all the same is said, with the names of the stages.
#[test]
fn builds_that_are_not_made_as_their_training() {
    let begin = "stage `last` is built otherwise than `counting`, which its profile of `profile` is of: ";
    assert_eq!(unlike_with("cmake", "lto = 'thin'", "lto = 'off'\nlinker = 'lld'"), [""; 0]);
    let full = unlike_with("cmake", "", "lto = 'full'\nbuild-type = 'RelWithDebInfo'");
    assert!(full.len() == 1 && full[0].starts_with(&format!("{begin}`build-type`, `lto`. ")), "{full:?}");
    let flags = "rustflags = ['-Ctarget-cpu=native']";
    assert_eq!(unlike_with("cargo", flags, flags), [""; 0]);
    assert_eq!(unlike_with("cargo", "", "rustflags = ['-Cdebuginfo=1', '-Clink-arg=-s']"), [""; 0]);
    let processor = unlike_with("cargo", "", flags);
    assert!(processor.len() == 1 && processor[0].starts_with(&format!("{begin}`rustflags`. ")), "{processor:?}");
}

#[test]
fn shipped_pipelines_are_built_as_they_are_trained() {
    for file in ["demo/pipeline.toml", "clang.toml"] {
        let path = format!("{}/pipelines/{file}", env!("CARGO_MANIFEST_DIR"));
        let loaded = Files::new(&[]).set("source=/src").try_load(&path);
        // The demo has no such variable.
        let loaded = loaded.unwrap_or_else(|_| Files::new(&[]).load(&path));
        assert_eq!(unlike(&loaded), [""; 0], "{file}");
    }
}
