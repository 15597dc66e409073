//! Decompression with bounds: how much memory it takes, and how much comes out.
//!
//! Unaware of what is compressed.

use std::io::{self, BufReader, Read};

use super::{BundleError, Limits};

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const XZ: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// What comes out of a decompressor, no more than `limits.total` bytes.
pub(super) struct Unpacked<'r> {
    reader: Box<dyn Read + 'r>,
    left: u64,
    total: u64,
}

impl<'r> Unpacked<'r> {
    /// Begins to unpack; the first bytes say how it was packed.
    pub(super) fn new(input: impl Read + 'r, limits: &Limits) -> Result<Unpacked<'r>, BundleError> {
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
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, BundleError> {
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
