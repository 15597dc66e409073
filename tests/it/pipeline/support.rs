//! Pipeline files in a directory of their own.

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::pipeline::{self, LoadError, LoadOptions, Pipeline};

pub const HOST: &str = "x86_64-unknown-linux-gnu";

/// Files, and what the caller gives.
pub struct Files {
    directory: tempfile::TempDir,
    pub set: Vec<String>,
    pub env: Vec<(String, String)>,
}

impl Files {
    pub fn new(files: &[(&str, &str)]) -> Files {
        let files_ = Files { directory: tempfile::tempdir().unwrap(), set: Vec::new(), env: Vec::new() };
        files.iter().for_each(|(name, text)| files_.write(name, text.as_bytes()));
        files_
    }

    /// A single file, `p.toml`.
    pub fn one(text: &str) -> Files {
        Files::new(&[("p.toml", text)])
    }

    pub fn set(mut self, argument: &str) -> Files {
        self.set.push(argument.into());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Files {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn root(&self) -> Utf8PathBuf {
        let path = self.directory.path().canonicalize().unwrap();
        Utf8PathBuf::from_path_buf(path).unwrap()
    }

    pub fn try_load(&self, file: &str) -> Result<Pipeline, LoadError> {
        let env = |name: &str| self.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let options = LoadOptions {
            set: &self.set,
            env: &env,
            cwd: &self.root(),
            host: HOST,
            kinds: &optbuild::stage::KINDS,
            incomplete: false,
        };
        pipeline::load(Utf8Path::new(file), &options)
    }

    #[track_caller]
    pub fn load(&self, file: &str) -> Pipeline {
        self.try_load(file).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is wrong, as it is shown without colour.
    #[track_caller]
    pub fn errors(&self, file: &str) -> String {
        match self.try_load(file) {
            Ok(_) => panic!("{file} loads"),
            Err(error) => error.render(false).replace(self.root().as_str(), "ROOT"),
        }
    }
}
