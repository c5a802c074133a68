//! RTP (RFC 3550, section 5.1): the fixed header, and where the payload is.

/// The fields of an RTP header that measuring needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Marker bit: for audio, the first packet after silence.
    pub has_marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in units of the payload's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// Length of the fixed header.
pub const HEADER: usize = 12;

impl Header {
    /// Reads the header of a datagram; `None` when it is none of RTP version 2. Says nothing of RTCP: ask
    /// [`crate::rtcp::is_rtcp`] first.
    #[inline]
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let (head, _) = datagram.split_first_chunk::<HEADER>()?;
        (head[0] >> 6 == 2).then(|| Self {
            payload_type: head[1] & 0x7f,
            has_marker: head[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([head[2], head[3]]),
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        })
    }
}

/// The payload behind the contributing sources and the extension, without padding; empty when they contradict the length.
#[must_use]
pub fn payload(datagram: &[u8]) -> &[u8] {
    let Some(first) = datagram.first() else {
        return &[];
    };
    let mut start = HEADER + 4 * usize::from(first & 15);
    if first & 0x10 != 0 {
        let Some(head) = datagram
            .get(start..)
            .and_then(|rest| rest.first_chunk::<4>())
        else {
            return &[];
        };
        start += 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
    }
    let padding = match (first & 0x20 != 0, datagram.last()) {
        (true, Some(count)) => usize::from(*count),
        _ => 0,
    };
    let end = datagram.len().saturating_sub(padding);
    datagram.get(start..end).unwrap_or_default()
}

/// A telephone event (RFC 4733, section 2.3). Which key it was is left out on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TelephoneEvent {
    /// One of the sixteen DTMF keys.
    pub is_dtmf: bool,
    /// The last packets of the event.
    pub is_end: bool,
    /// How long it lasts so far, in units of the clock.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads the payload of a packet of type telephone-event.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low, ..] = payload else {
            return None;
        };
        Some(Self {
            is_dtmf: *event < 16,
            is_end: flags & 0x80 != 0,
            duration: u16::from_be_bytes([*high, *low]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_payload_behind_sources_extension_and_before_padding() {
        let mut packet = vec![0x80 | 0x20 | 0x10 | 1, 0x88, 0, 9, 0, 0, 0, 160, 1, 2, 3, 4];
        packet.extend([9; 4]); // one contributing source
        packet.extend([0xbe, 0xde, 0, 1, 0, 0, 0, 0]);
        packet.extend([7, 7, 7, 0, 2]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(
            (
                header.payload_type,
                header.has_marker,
                header.sequence,
                header.ssrc
            ),
            (8, true, 9, 0x0102_0304)
        );
        assert_eq!(payload(&packet), [7, 7, 7]);
    }

    proptest! {
        #[test]
        fn never_panics(datagram in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Header::parse(&datagram), payload(&datagram), TelephoneEvent::parse(&datagram));
        }
    }
}
