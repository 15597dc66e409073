//! The files of a stage's outputs as objects of a store: large ones one by one, small ones together in packs. So a stage is 5 to 60
//! objects however many files it has.
//!
//! | object | name |
//! |---|---|
//! | `v1/blobs/ab/HASH.zst` | the hash of the file |
//! | `v1/packs/ab/HASH.zst` | the hash of all its files, one behind the other |
//! | `v1/manifests/ab/HASH.zst` | the hash of the manifest, as records have it |
//! | `v1/lists/ab/HASH.zst` | the hash of the list: in which object each file is, and where in it |
//!
//! What is there already is not sent again. Unaware of records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{Body, Put, Store, When, read_whole};
use crate::state::manifest::{Content, Manifest};

/// What objects lie below.
pub const TOP: &str = "v1/";

/// More than so many bytes is no manifest and no list of objects.
const LARGEST: u64 = 128 << 20;

/// In which objects the files of a stage are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    pub objects: Vec<Object>,
    /// Each content once, sorted by object and offset.
    pub files: Vec<Place>,
}

/// An object with the content of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// A file of its own, or a pack.
    pub blob: bool,
    /// Of what is inside.
    pub hash: [u8; 32],
    pub size: u64,
}

/// Where a content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub hash: [u8; 32],
    /// Counts in [`Objects::objects`].
    pub object: u32,
    pub offset: u64,
    pub size: u64,
}

/// What was sent to a store, or fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    pub objects: usize,
    /// Compressed.
    pub bytes: u64,
    /// Not compressed; what was there already among it.
    pub content: u64,
}

impl Object {
    pub fn name(&self) -> String {
        name(if self.blob { "blobs" } else { "packs" }, &blake3::Hash::from_bytes(self.hash).to_hex())
    }
}

/// The name of an object of one sort.
pub fn name(sort: &str, hash: &str) -> String {
    format!("{TOP}{sort}/{}/{hash}.zst", &hash[..hash.len().min(2)])
}

/// Sends what objects are made of.
pub struct Sender<'a> {
    pub store: &'a dyn Store,
    /// Of zstd.
    pub level: i32,
    /// For files that are being compressed; on a disk with room.
    pub scratch: &'a Utf8Path,
    /// Whether to give up.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    pub moved: Moved,
}

impl Sender<'_> {
    /// Sends the files of outputs, given as paths with their manifests. Returns the name of the list of objects, and their bytes.
    ///
    /// # Errors
    /// The store refuses, a file is not any more what its manifest says, or it was told to stop.
    pub fn send(&mut self, outputs: &[(Utf8PathBuf, &Manifest)]) -> Result<(String, u64)> {
        let can = self.store.can();
        let mut contents: BTreeMap<[u8; 32], (u64, Utf8PathBuf)> = BTreeMap::new();
        let mut order = Vec::new();
        for (path, manifest) in outputs {
            for entry in &manifest.entries {
                if let Content::File { size, hash, .. } = entry.content {
                    contents.entry(hash).or_insert_with(|| {
                        order.push(hash);
                        (size, if entry.path.as_str().is_empty() { path.clone() } else { path.join(&entry.path) })
                    });
                }
            }
        }
        self.moved.content += contents.values().map(|(size, _)| size).sum::<u64>();
        let mut objects = Objects::default();
        let mut pack: Vec<[u8; 32]> = Vec::new();
        let mut packed = 0;
        for hash in order {
            let (size, path) = &contents[&hash];
            if *size >= can.own_object {
                self.blob(path, hash, *size)?;
                objects.add(Object { blob: true, hash, size: *size }, &[(hash, *size)]);
                continue;
            }
            if packed + size > can.pack && !pack.is_empty() {
                self.pack(&pack, &contents, &mut objects)?;
                (pack, packed) = (Vec::new(), 0);
            }
            pack.push(hash);
            packed += size;
        }
        if !pack.is_empty() {
            self.pack(&pack, &contents, &mut objects)?;
        }
        let mut stored = 0;
        for object in &objects.objects {
            stored += self.store.head(&object.name())?.unwrap_or(0);
        }
        for (_, manifest) in outputs {
            let bytes = manifest.encode().context("a manifest cannot be written")?;
            self.small("manifests", &manifest.hash(), &bytes)?;
        }
        let bytes = postcard::to_stdvec(&objects).context("a list of objects cannot be written")?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        self.small("lists", &hash, &bytes)?;
        Ok((hash, stored))
    }

    fn go_on(&self) -> Result<()> {
        ensure!(!(self.stop)(), "it was told to stop");
        Ok(())
    }

    fn small(&mut self, sort: &str, hash: &str, bytes: &[u8]) -> Result<()> {
        self.go_on()?;
        let name = name(sort, hash);
        if self.store.head(&name)?.is_none() {
            let bytes = zstd::bulk::compress(bytes, self.level).with_context(|| format!("cannot compress {name}"))?;
            self.put(&name, Body::Bytes(&bytes), bytes.len() as u64)?;
        }
        Ok(())
    }

    fn put(&mut self, name: &str, body: Body<'_>, size: u64) -> Result<()> {
        if self.store.put(name, body, When::Absent)? == Put::Written {
            self.moved.objects += 1;
            self.moved.bytes += size;
        }
        Ok(())
    }

    fn blob(&mut self, path: &Utf8Path, hash: [u8; 32], size: u64) -> Result<()> {
        self.go_on()?;
        let object = Object { blob: true, hash, size };
        if self.store.head(&object.name())?.is_some() {
            return Ok(());
        }
        let mut aside = self.aside()?;
        let found = compress([(path, hash)], aside.as_file_mut(), self.level, self.stop)?;
        ensure!(found == hash, changed(path));
        self.put_file(&object.name(), &aside)
    }

    fn pack(
        &mut self,
        files: &[[u8; 32]],
        contents: &BTreeMap<[u8; 32], (u64, Utf8PathBuf)>,
        objects: &mut Objects,
    ) -> Result<()> {
        self.go_on()?;
        let mut aside = self.aside()?;
        let paths = files.iter().map(|hash| (contents[hash].1.as_path(), *hash));
        let hash = compress(paths, aside.as_file_mut(), self.level, self.stop)?;
        let sizes: Vec<([u8; 32], u64)> = files.iter().map(|hash| (*hash, contents[hash].0)).collect();
        let object = Object { blob: false, hash, size: sizes.iter().map(|(_, size)| size).sum() };
        if self.store.head(&object.name())?.is_none() {
            self.put_file(&object.name(), &aside)?;
        }
        objects.add(object, &sizes);
        Ok(())
    }

    fn aside(&self) -> Result<tempfile::NamedTempFile> {
        let aside = tempfile::Builder::new().prefix(".tmp-").tempfile_in(self.scratch);
        aside.with_context(|| format!("cannot write to {}", self.scratch))
    }

    fn put_file(&mut self, name: &str, aside: &tempfile::NamedTempFile) -> Result<()> {
        self.go_on()?;
        let path = Utf8Path::from_path(aside.path()).context("the directory for temporary files is not UTF-8")?;
        let size = aside.as_file().metadata().with_context(|| format!("cannot look at {path}"))?.len();
        self.put(name, Body::File(path), size)
    }
}

impl Objects {
    fn add(&mut self, object: Object, files: &[([u8; 32], u64)]) {
        let index = self.objects.len() as u32;
        let mut offset = 0;
        for (hash, size) in files {
            self.files.push(Place { hash: *hash, object: index, offset, size: *size });
            offset += size;
        }
        self.objects.push(object);
    }

    /// Whether it makes sense: places in their order, without gaps, and each object as large as its files.
    fn check(&self) -> Result<()> {
        let mut ends = vec![0_u64; self.objects.len()];
        let mut last = 0;
        for Place { object, offset, size, .. } in &self.files {
            ensure!(*object >= last, "its files are not in the order of its objects");
            last = *object;
            let end = ends.get_mut(*object as usize).context("a file is in no object")?;
            ensure!(offset == end, "a file does not begin where the one before it ends");
            *end = end.checked_add(*size).context("a file is larger than files can be")?;
        }
        let contents: std::collections::BTreeSet<&[u8; 32]> = self.files.iter().map(|place| &place.hash).collect();
        ensure!(contents.len() == self.files.len(), "a file is there twice");
        ensure!(
            ends.iter().zip(&self.objects).all(|(end, object)| *end == object.size),
            "an object is larger than its files"
        );
        Ok(())
    }
}

fn changed(path: &Utf8Path) -> String {
    format!("{path} is not any more what the stage has made")
}

/// Writes files one behind the other, compressed. Returns the hash of all. Each must still have the content that it had.
fn compress<'a>(
    files: impl IntoIterator<Item = (&'a Utf8Path, [u8; 32])>,
    to: &mut File,
    level: i32,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<[u8; 32]> {
    let mut whole = blake3::Hasher::new();
    let mut encoder =
        zstd::stream::write::Encoder::new(io::BufWriter::new(to), level).context("zstd does not begin")?;
    let mut buffer = vec![0; 256 << 10];
    for (path, expected) in files {
        let mut file = File::open(path).with_context(|| format!("cannot read {path}"))?;
        let mut one = blake3::Hasher::new();
        loop {
            let read = file.read(&mut buffer).with_context(|| format!("cannot read {path}"))?;
            if read == 0 {
                break;
            }
            ensure!(!stop(), "it was told to stop");
            one.update(&buffer[..read]);
            whole.update(&buffer[..read]);
            encoder.write_all(&buffer[..read]).with_context(|| format!("cannot compress {path}"))?;
        }
        ensure!(*one.finalize().as_bytes() == expected, changed(path));
    }
    let mut writer = encoder.finish().context("cannot write what was compressed")?;
    writer.flush().context("cannot write what was compressed")?;
    Ok(*whole.finalize().as_bytes())
}

/// A small object whose name is the hash of what is inside. None: it is gone, or it is something else.
fn small(store: &dyn Store, sort: &str, hash: &str) -> Result<Vec<u8>> {
    let name = name(sort, hash);
    let Some(bytes) = read_whole(store, &name, LARGEST)? else { bail!(Gone(name)) };
    let mut content = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(bytes.as_slice()).map_err(|_| Damaged(name.clone()))?;
    decoder.take(LARGEST).read_to_end(&mut content).map_err(|_| Damaged(name))?;
    Ok(content)
}

/// The manifest of an output.
///
/// # Errors
/// [`Gone`] or [`Damaged`], or the store cannot be reached.
pub fn manifest(store: &dyn Store, hash: &str) -> Result<Manifest> {
    let bytes = small(store, "manifests", hash)?;
    let manifest = Manifest::decode(&bytes).filter(|manifest| manifest.hash() == hash);
    Ok(manifest.ok_or_else(|| Damaged(name("manifests", hash)))?)
}

/// The list of a stage's objects.
///
/// # Errors
/// As [`manifest`].
pub fn list(store: &dyn Store, hash: &str) -> Result<Objects> {
    let name = name("lists", hash);
    let bytes = small(store, "lists", hash)?;
    if *blake3::hash(&bytes).to_hex() != *hash {
        bail!(Damaged(name));
    }
    let objects: Objects = postcard::from_bytes(&bytes).map_err(|_| Damaged(name.clone()))?;
    objects.check().map_err(|_| Damaged(name))?;
    Ok(objects)
}

/// An object that a record names is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is gone")]
pub struct Gone(pub String);

/// An object is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is damaged")]
pub struct Damaged(pub String);
