//! The members of a compressed tar archive, one after the other: plain files and directories with plain names, and nothing else.
//!
//! Links, devices, sparse files and extended headers are refused, and so are names that lead out of the archive. Decompression has
//! bounds: how much memory it takes, and how much comes out. Unaware of what the members are.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use tar::{EntryType, Header};

use super::{BundleError, Limits};

/// The unit of tar: headers have it, and contents are filled up to it.
const BLOCK: usize = 512;

/// The longest name of a member, in bytes.
const MAX_NAME: u64 = 4096;

/// What may stand behind the end of an archive, in bytes: tar's largest record.
const MAX_FILLING: usize = 1 << 20;

/// The members of an archive that is being read.
pub(super) struct Archive<'r> {
    input: Unpacked<'r>,
    seen: BTreeSet<String>,
    members: usize,
    /// Content of the current member that was not read yet, and what fills its last block.
    left: u64,
    padding: usize,
    name: String,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub name: String,
    pub bytes: u64,
    pub directory: bool,
}

impl<'r> Archive<'r> {
    pub(super) fn new(input: impl Read + 'r, limits: &Limits) -> Result<Archive<'r>, BundleError> {
        let (input, members) = (Unpacked::new(input, limits)?, limits.members);
        Ok(Archive { input, seen: BTreeSet::new(), members, left: 0, padding: 0, name: String::new() })
    }

    /// Goes to the next member; what was not read of the one before is passed over. None at the end, which is then known to be
    /// whole.
    pub(super) fn next(&mut self) -> Result<Option<Member>, BundleError> {
        self.pass_over()?;
        let Some(mut header) = self.header()? else { return Ok(None) };
        let mut long = None;
        // GNU's way to write names above 100 bytes: a member of their own before the one that they are for.
        if header.entry_type() == EntryType::GNULongName {
            long = Some(self.long_name(&header)?);
            header = self.header()?.ok_or_else(|| BundleError::Truncated("a name".into()))?;
        }
        let name = long.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = String::from_utf8_lossy(&name).into_owned();
        let refuse = |why| Err(BundleError::Member { name: shown.clone(), why });
        let directory = match header.entry_type() {
            EntryType::Regular => false,
            EntryType::Directory => true,
            EntryType::Symlink | EntryType::Link => return refuse("is a link"),
            EntryType::GNULongName | EntryType::GNULongLink => return refuse("has a header for long links"),
            EntryType::GNUSparse => return refuse("is a sparse file"),
            EntryType::XHeader | EntryType::XGlobalHeader => return refuse("is an extended header"),
            _ => return refuse("is a device, or something else that is no file"),
        };
        let Ok(name) = String::from_utf8(name) else { return refuse("has a name that is not UTF-8") };
        let name = if directory { name.trim_end_matches('/').to_string() } else { name };
        if let Some(why) = bad_name(&name) {
            return refuse(why);
        }
        let bytes = header.entry_size().map_err(|error| BundleError::Damaged(error.to_string()))?;
        if directory && bytes > 0 {
            return refuse("is a directory with content");
        }
        if !self.seen.insert(name.clone()) {
            return Err(BundleError::Duplicate(name));
        }
        if self.seen.len() > self.members {
            return Err(BundleError::TooMany(self.members));
        }
        self.begin(name.clone(), bytes);
        Ok(Some(Member { name, bytes, directory }))
    }

    /// Reads content of the current member. 0: that was all of it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BundleError> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.input.fill(&mut buffer[..want])?;
        if got < want {
            return Err(BundleError::Truncated(format!("`{}`", self.name)));
        }
        self.left -= got as u64;
        Ok(got)
    }

    fn begin(&mut self, name: String, bytes: u64) {
        self.left = bytes;
        self.padding = (BLOCK - (bytes % BLOCK as u64) as usize) % BLOCK;
        self.name = name;
    }

    fn pass_over(&mut self) -> Result<(), BundleError> {
        let mut buffer = [0; 1 << 14];
        while self.read(&mut buffer)? > 0 {}
        let padding = std::mem::take(&mut self.padding);
        if self.input.fill(&mut buffer[..padding])? < padding {
            return Err(BundleError::Truncated(format!("`{}`", self.name)));
        }
        Ok(())
    }

    /// The next header. None: two empty blocks, behind which there is nothing.
    fn header(&mut self) -> Result<Option<Header>, BundleError> {
        let mut block = [0; BLOCK];
        if self.input.fill(&mut block)? < BLOCK {
            return Err(BundleError::Truncated("the list of its members".into()));
        }
        if block == [0; BLOCK] {
            self.end()?;
            return Ok(None);
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        let stored = header.cksum().map_err(|error| BundleError::Damaged(error.to_string()))?;
        // The sum of all bytes, those of the sum itself as if they were spaces.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        if sum != stored {
            return Err(BundleError::Damaged("a member's header has another checksum than it says".into()));
        }
        Ok(Some(header))
    }

    fn end(&mut self) -> Result<(), BundleError> {
        let mut block = [1; BLOCK];
        if self.input.fill(&mut block)? < BLOCK || block != [0; BLOCK] {
            return Err(BundleError::Truncated("its end".into()));
        }
        // tar fills up to records of 10 KiB; reading on also makes the decompressor check its own sums.
        let mut buffer = [0; 1 << 14];
        let mut filling = 0;
        loop {
            let got = self.input.fill(&mut buffer)?;
            filling += got;
            if filling > MAX_FILLING {
                return Err(BundleError::Damaged(format!(
                    "more than {MAX_FILLING} bytes of nothing stand behind its end"
                )));
            }
            if buffer[..got].iter().any(|byte| *byte != 0) {
                return Err(BundleError::Damaged("something stands behind its end".into()));
            }
            if got < buffer.len() {
                return Ok(());
            }
        }
    }

    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>, BundleError> {
        let bytes = header.entry_size().map_err(|error| BundleError::Damaged(error.to_string()))?;
        if bytes > MAX_NAME {
            return Err(BundleError::TooLarge { what: "a name".into(), bytes, limit: MAX_NAME });
        }
        self.begin("a name".into(), bytes);
        let mut name = vec![0; bytes as usize];
        self.read(&mut name)?;
        self.pass_over()?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }
}

/// What is wrong with a name.
fn bad_name(name: &str) -> Option<&'static str> {
    if name.starts_with('/') {
        return Some("has an absolute name");
    }
    if name.split('/').any(|part| part == "..") {
        return Some("has a name with `..`");
    }
    if name.contains(['\0', '\\']) || name.split('/').any(|part| part.is_empty() || part == ".") {
        return Some("has a name that is no plain path");
    }
    None
}

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const XZ: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// What comes out of a decompressor, no more than `limits.total` bytes.
struct Unpacked<'r> {
    reader: Box<dyn Read + 'r>,
    left: u64,
    total: u64,
}

impl<'r> Unpacked<'r> {
    /// Begins to unpack; the first bytes say how it was packed.
    fn new(input: impl Read + 'r, limits: &Limits) -> Result<Unpacked<'r>, BundleError> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        // A reader may give its first bytes one by one; the buffer is large enough for what is asked of it.
        let mut first = [0; XZ.len()];
        let got = fill(&mut input, &mut first).map_err(BundleError::Read)?;
        let input = io::Cursor::new(first).take(got as u64).chain(input);
        let reader: Box<dyn Read + 'r> = if first.starts_with(&ZSTD) {
            let mut decoder = zstd::Decoder::with_buffer(input).map_err(BundleError::Read)?;
            let window = limits.memory.max(1).ilog2().clamp(10, 31);
            decoder.window_log_max(window).map_err(BundleError::Read)?;
            Box::new(decoder)
        } else if first == XZ {
            let stream = liblzma::stream::Stream::new_stream_decoder(limits.memory, liblzma::stream::CONCATENATED)
                .map_err(|error| BundleError::Damaged(error.to_string()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        } else {
            return Err(BundleError::Compression);
        };
        Ok(Unpacked { reader, left: limits.total, total: limits.total })
    }

    /// Reads until the buffer is full or nothing more comes. How much was read.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, BundleError> {
        let got = fill(&mut self.reader, buffer).map_err(|error| BundleError::Damaged(error.to_string()))?;
        self.left = self.left.checked_sub(got as u64).ok_or(BundleError::TooMuch(self.total))?;
        Ok(got)
    }
}

fn fill(reader: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match reader.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
