//! Makes frames: records go in one by one, whole frames come out in one buffer for one `write()`.
use super::{BODY_MAX, HEADER, KIND_EVENTS, KIND_LOST, LOST_BODY, RECORDS_MAX, checksum};

/// A buffer of whole frames and at most one open one.
#[derive(Debug, Default)]
pub struct FrameWriter {
    bytes: Vec<u8>,
    /// Offset and record count of the frame that is open.
    open: Option<(usize, u32)>,
    records: u64,
}

impl FrameWriter {
    /// Add a record; `encode` appends its octets (at most 65,535; longer ones are refused with `false`).
    pub fn record(&mut self, first: u64, durable: u64, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let (start, count) = match self.open {
            Some(open) => open,
            None => {
                let start = self.bytes.len();
                self.header(first + self.records, durable, KIND_EVENTS);
                (start, 0)
            }
        };
        let record = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        encode(&mut self.bytes);
        let Ok(length) = u16::try_from(self.bytes.len() - record - 2) else {
            self.bytes.truncate(if count == 0 { start } else { record });
            return false;
        };
        self.bytes[record..record + 2].copy_from_slice(&length.to_le_bytes());
        self.open = Some((start, count + 1));
        self.records += 1;
        // The next record may be of any length, so a frame is closed while the longest still fits.
        if count + 1 == RECORDS_MAX
            || self.bytes.len() - start > HEADER + BODY_MAX - (2 + usize::from(u16::MAX))
        {
            self.seal();
        }
        true
    }

    /// Note that `count` events could not be kept; stands before the record with sequence `first`.
    pub fn lost(&mut self, first: u64, durable: u64, count: u64, from_us: i64, to_us: i64) {
        self.seal();
        let start = self.bytes.len();
        self.header(first + self.records, durable, KIND_LOST);
        self.bytes.extend_from_slice(&count.to_le_bytes());
        self.bytes.extend_from_slice(&from_us.to_le_bytes());
        self.bytes.extend_from_slice(&to_us.to_le_bytes());
        debug_assert_eq!(self.bytes.len() - start, HEADER + LOST_BODY);
        self.close(start, 0);
    }

    /// All frames, the open one closed.
    pub fn sealed(&mut self) -> &[u8] {
        self.seal();
        &self.bytes
    }

    /// Records since the last [`FrameWriter::clear`].
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether nothing is in the buffer.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forget everything, keep the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.open = None;
        self.records = 0;
    }

    fn header(&mut self, first: u64, durable: u64, kind: u32) {
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(&first.to_le_bytes());
        self.bytes.extend_from_slice(&durable.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_le_bytes());
    }

    fn seal(&mut self) {
        if let Some((start, count)) = self.open.take() {
            self.close(start, count);
        }
    }

    fn close(&mut self, start: usize, count: u32) {
        let body = (self.bytes.len() - start - HEADER) as u32;
        self.bytes[start + 4..start + 8].copy_from_slice(&body.to_le_bytes());
        self.bytes[start + 24..start + 28].copy_from_slice(&count.to_le_bytes());
        let crc = checksum(&self.bytes[start + 4..]);
        self.bytes[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }
}
