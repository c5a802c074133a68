//! WebSocket frames (RFC 6455, section 5.2) of SIP over WebSocket (RFC 7118): unmasked and joined to messages.

/// The largest message; a frame that claims more ends the stream for us.
pub const MAX_MESSAGE: usize = 128 * 1024;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// What a step found.
#[derive(PartialEq, Eq, Debug)]
pub enum Step {
    /// A message is whole: it is in [`Websocket::message`]; so many octets were used.
    Message(usize),
    /// A frame without a whole message; so many octets were used.
    Frame(usize),
    /// More octets are needed.
    Wait,
    /// No WebSocket, compressed (RFC 7692: its context can't be had in mid-stream), or too large.
    Unreadable,
}

/// Joins the frames of one direction.
#[derive(Debug, Default)]
pub struct Websocket {
    message: Vec<u8>,
    is_whole: bool,
}

impl Websocket {
    /// The last message that was whole.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Octets held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.message.capacity()
    }

    /// Takes the frame at the front of `data`.
    pub fn step(&mut self, data: &[u8]) -> Step {
        let Some(frame) = Head::parse(data) else {
            return Step::Wait;
        };
        if frame.is_foreign
            || frame.length > MAX_MESSAGE
            || self.message.len() + frame.length > 2 * MAX_MESSAGE
        {
            self.message = Vec::new();
            return Step::Unreadable;
        }
        let end = frame.header + frame.length;
        let Some(payload) = data.get(frame.header..end) else {
            return Step::Wait;
        };
        if frame.opcode > BINARY {
            return Step::Frame(end); // control frames may stand between the fragments of a message
        }
        if self.is_whole || frame.opcode != CONTINUATION {
            self.message.clear();
        }
        let unmasked = payload
            .iter()
            .zip(frame.mask.iter().cycle())
            .map(|(octet, mask)| octet ^ mask);
        self.message.extend(unmasked);
        self.is_whole = frame.is_final;
        if frame.is_final {
            Step::Message(end)
        } else {
            Step::Frame(end)
        }
    }

    /// Whether `data` reads like a frame with SIP inside: how a stream is known whose upgrade was not captured.
    #[must_use]
    pub fn is_frame_of_sip(data: &[u8]) -> bool {
        let Some(frame) = Head::parse(data) else {
            return false;
        };
        let Some(payload) = data.get(frame.header..) else {
            return false;
        };
        if frame.is_foreign || !matches!(frame.opcode, TEXT | BINARY) || frame.length > MAX_MESSAGE
        {
            return false;
        }
        let first: Vec<u8> = payload
            .iter()
            .take(2048)
            .zip(frame.mask.iter().cycle())
            .map(|(octet, mask)| octet ^ mask)
            .collect();
        super::framing::is_sip(&first)
    }
}

struct Head {
    opcode: u8,
    is_final: bool,
    is_foreign: bool,
    length: usize,
    header: usize,
    mask: [u8; 4],
}

impl Head {
    fn parse(data: &[u8]) -> Option<Self> {
        let (first, second) = (*data.first()?, *data.get(1)?);
        let (length, mut header) = match second & 0x7f {
            126 => (u64::from(crate::decode::u16_at(data, 2)?), 4),
            127 => (u64::from_be_bytes(*data.get(2..)?.first_chunk::<8>()?), 10),
            short => (u64::from(short), 2),
        };
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            mask = *data.get(header..)?.first_chunk::<4>()?;
            header += 4;
        }
        let opcode = first & 15;
        Some(Self {
            opcode,
            is_final: first & 0x80 != 0,
            is_foreign: first & 0x70 != 0 || matches!(opcode, 3..=7 | 11..=15),
            length: usize::try_from(length).unwrap_or(usize::MAX),
            header,
            mask,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut data = vec![first];
        let bit = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            length @ 0..126 => data.push(bit | length as u8),
            length => {
                data.push(bit | 126);
                data.extend((length as u16).to_be_bytes());
            }
        }
        data.extend(mask.iter().flatten());
        data.extend(
            payload
                .iter()
                .zip(mask.unwrap_or_default().iter().cycle())
                .map(|(a, b)| a ^ b),
        );
        data
    }

    #[test]
    fn joins_fragments_around_a_ping() {
        let mut socket = Websocket::default();
        let data = [
            frame(1, b"INVITE ", Some([1, 2, 3, 4])),
            frame(0x89, b"", None),
            frame(0x80, b"sip:a", None),
        ]
        .concat();
        assert_eq!(socket.step(&data), Step::Frame(13));
        assert_eq!(socket.step(&data[13..]), Step::Frame(2));
        assert_eq!(socket.step(&data[15..17]), Step::Wait);
        assert_eq!(socket.step(&data[15..]), Step::Message(7));
        assert_eq!(socket.message(), b"INVITE sip:a");
    }

    #[test]
    fn refuses_compressed_frames() {
        assert_eq!(
            Websocket::default().step(&frame(0xc1, b"xx", None)),
            Step::Unreadable
        );
    }

    proptest! {
        #[test]
        fn reads_back_what_was_framed(payload in prop::collection::vec(any::<u8>(), 0..3000), mask in any::<Option<[u8; 4]>>()) {
            let data = frame(0x82, &payload, mask);
            let mut socket = Websocket::default();
            prop_assert_eq!(socket.step(&data), Step::Message(data.len()));
            prop_assert_eq!(socket.message(), payload);
        }

        #[test]
        fn never_panics(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut socket = Websocket::default();
            let _ = (socket.step(&data), Websocket::is_frame_of_sip(&data));
        }
    }
}
