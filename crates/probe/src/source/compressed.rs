//! gzip and zstd are taken off by what the stream begins with, whatever its name.

use std::io::{self, Read};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The stream without compression. Reads a few octets to see what it is; works on pipes.
pub fn open_stream(mut input: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut head)?;
    let is_gzip = head.starts_with(&GZIP);
    let is_zstd = head.starts_with(&ZSTD);
    let whole = io::Cursor::new(head).chain(input);
    Ok(if is_gzip {
        Box::new(flate2::read::MultiGzDecoder::new(
            io::BufReader::with_capacity(1 << 17, whole),
        ))
    } else if is_zstd {
        Box::new(Zstd {
            state: State::Between(Box::new(io::BufReader::with_capacity(1 << 17, whole))),
        })
    } else {
        Box::new(whole)
    })
}

type Input = Box<dyn io::BufRead + Send>;
type Decoder = ruzstd::decoding::StreamingDecoder<Input, ruzstd::decoding::FrameDecoder>;

/// zstd frames one behind the other, as parallel compressors and appending write them.
struct Zstd {
    state: State,
}

enum State {
    Between(Input),
    Inside(Box<Decoder>),
    Over,
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(0),
                State::Between(mut input) => {
                    if input.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder =
                        ruzstd::decoding::StreamingDecoder::new(input).map_err(io::Error::other)?;
                    self.state = State::Inside(Box::new(decoder));
                }
                State::Inside(mut decoder) => {
                    let count = decoder.read(buffer)?;
                    if count > 0 {
                        self.state = State::Inside(decoder);
                        return Ok(count);
                    }
                    self.state = State::Between(decoder.into_inner());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read_all(packed: Vec<u8>) -> Vec<u8> {
        let mut plain = Vec::new();
        open_stream(io::Cursor::new(packed))
            .unwrap()
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    #[test]
    fn takes_off_gzip_and_zstd_of_several_members_and_leaves_the_rest() {
        let parts: [&[u8]; 2] = [&[1; 100_000], b"the second part"];
        let whole = parts.concat();
        let gzip: Vec<u8> = parts
            .iter()
            .flat_map(|part| {
                let mut writer =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(part).unwrap();
                writer.finish().unwrap()
            })
            .collect();
        let zstd: Vec<u8> = parts
            .iter()
            .flat_map(|part| {
                ruzstd::encoding::compress_to_vec(
                    *part,
                    ruzstd::encoding::CompressionLevel::Fastest,
                )
            })
            .collect();
        assert_eq!(read_all(gzip), whole);
        assert_eq!(read_all(zstd), whole);
        assert_eq!(read_all(whole.clone()), whole);
        assert_eq!(read_all(b"ab".to_vec()), b"ab");
    }
}
