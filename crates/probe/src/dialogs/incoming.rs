//! What the call table has to know of each message: who, which call, which transaction.
use ringfence_voice_wire::sip::{Address, CSeq, Header, Message, Method, StartLine};

use super::feed::Arrival;
use super::fold::{fold, mix, mix_socket};

/// A message with the parts that every decision needs.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub message: Message<'a>,
    pub arrival: &'a Arrival,
    /// Of a response.
    pub status: Option<u16>,
    /// Of the transaction: from the request line, or CSeq of a response.
    pub method: Method,
    /// CSeq number; 0 when it was cut off.
    pub cseq: u32,
    pub call_id: &'a [u8],
    pub from: Address<'a>,
    pub to: Address<'a>,
    pub from_tag: &'a [u8],
    pub to_tag: &'a [u8],
    /// Hashes of the tags; the empty tag has one too.
    pub from_hash: u32,
    pub to_hash: u32,
}

impl<'a> Incoming<'a> {
    /// Reads a message. `None`: nothing that a call could be made of.
    ///
    /// Via, From, To, Call-ID and CSeq are mandatory (RFC 3261, 8.1.1 and 8.2.6); a message that the capture cut
    /// needs only Call-ID and From.
    #[inline]
    pub(super) fn read(arrival: &'a Arrival, octets: &'a [u8]) -> Option<Self> {
        let message = Message::parse(octets).ok()?;
        let is_cut = arrival.is_truncated || message.after_head().is_none();
        let call_id = message.get(Header::CallId).filter(|id| !id.is_empty())?;
        let cseq = message.get(Header::CSeq).and_then(CSeq::parse);
        let from = address(message.get(Header::From)?)?;
        let to = match message.get(Header::To) {
            Some(value) => address(value)?,
            None if is_cut => Address {
                name: &[],
                uri: &[],
                parameters: &[],
            },
            None => return None,
        };
        if message.get(Header::Via).is_none() && !is_cut {
            return None;
        }
        let (status, method) = match (message.start(), &cseq) {
            (StartLine::Request { method, token, .. }, Some(cseq)) if *token == cseq.token => {
                (None, *method)
            }
            (StartLine::Request { method, .. }, None) if is_cut => (None, *method),
            (StartLine::Response { status, .. }, Some(cseq)) => (Some(*status), cseq.method),
            _ => return None,
        };
        let (from_tag, to_tag) = (from.tag(), to.tag());
        Some(Self {
            message,
            arrival,
            status,
            method,
            cseq: cseq.map_or(0, |cseq| cseq.number),
            call_id,
            from,
            to,
            from_tag,
            to_tag,
            from_hash: tag_hash(from_tag),
            to_hash: tag_hash(to_tag),
        })
    }

    /// Equal for messages that a sender has sent again, and for the same message seen twice.
    #[inline]
    pub(super) fn fingerprint(&self) -> u64 {
        let via = self.message.get(Header::Via).unwrap_or_default();
        let kind = u64::from(self.status.unwrap_or(0)) << 8 | self.method as u64;
        let hash = mix(u64::from(self.cseq) << 32 | u64::from(self.to_hash), kind);
        let hash = mix_socket(
            mix_socket(hash, self.arrival.source),
            self.arrival.destination,
        );
        fold(hash, via)
    }

    /// An INVITE, or a response to one, outside any dialog.
    pub(super) fn is_initial_invite(&self) -> bool {
        self.status.is_none() && self.method == Method::Invite && self.to_tag.is_empty()
    }

    /// User-Agent or Server.
    pub(super) fn agent(&self) -> &'a [u8] {
        self.message
            .get(Header::UserAgent)
            .or_else(|| self.message.get(Header::Server))
            .unwrap_or_default()
    }
}

/// Hash of a tag.
#[inline]
pub(super) fn tag_hash(tag: &[u8]) -> u32 {
    fold(0, tag) as u32
}

/// An address even when its display name has a quote too few: then what follows the last bracket counts.
#[inline]
fn address(value: &[u8]) -> Option<Address<'_>> {
    Address::parse(value).or_else(|| Address::parse(value.get(memchr::memrchr(b'<', value)?..)?))
}
