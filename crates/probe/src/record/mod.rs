//! What the probe knows of one call: the value that leaves it (docs/contracts.md 7).
//!
//! A [`CallRecord`] borrows its texts from the call's state and lives only while [`Sink::call`](crate::dialogs::Sink::call)
//! runs: whoever wants it longer encodes or serialises it there. Texts are the peers' octets, cut to [`TEXT_MAX`], and may be hostile.
mod flags;
mod media;
mod text;
mod words;

use core::net::SocketAddr;

use serde::Serialize;

pub use flags::CallFlags;
pub use media::MediaSummary;
pub use text::{CodecName, Text};
pub use words::{
    CallResult, CorrelatedBy, DestinationOrigin, Side, SourceOrigin, Transport, is_ineffective,
};

/// Longest text of a record, octets; Call-ID and tags beyond it are cut in the record, never in the comparison.
pub const TEXT_MAX: usize = 255;

/// One call, as its SIP messages told it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CallRecord<'a> {
    /// Names the call while the probe runs; streams are bound to it.
    pub key: CallKey,
    /// When what happened.
    pub times: CallTimes,
    /// The signalling side that sent the first INVITE.
    pub source_address: SocketAddr,
    /// Where the INVITE went; with several hops seen, where the last one went.
    pub destination_address: SocketAddr,
    /// How the first message came.
    pub transport: Transport,
    /// Outermost VLAN id of the first message, 0 for none.
    pub vlan: u16,
    /// Hops of the INVITE that the tap has seen (a proxy between them), at least 1.
    pub hops: u8,

    /// Call-ID of the leg.
    pub call_id: Text<'a>,
    /// Tag of the calling side.
    pub from_tag: Text<'a>,
    /// Tag of the called side that answered, else of the last early dialog.
    pub to_tag: Text<'a>,
    /// Session-ID (RFC 7989): 32 hexadecimal digits of the caller's half.
    pub session_id: Text<'a>,
    /// The same for all legs of one call through back-to-back user agents; never 0.
    pub correlation_id: u64,
    /// Why legs were found to be one call.
    pub correlated_by: CorrelatedBy,

    /// The numbers and names, from where they came.
    pub parties: Parties<'a>,
    /// User-Agent or Server of the calling side.
    pub source_agent: Text<'a>,
    /// User-Agent or Server of the called side.
    pub destination_agent: Text<'a>,

    /// Status code that decided the call, never 401 or 407 when the call went on; 0 when none was seen.
    pub status: u16,
    /// The same in a word.
    pub result: CallResult,
    /// Who ended it.
    pub released_by: Option<Side>,
    /// Q.850 cause (Reason header), from the message that ended the call.
    pub cause_q850: Option<u8>,
    /// Cause of the `SIP` reason (RFC 3326), such as 200 "call completed elsewhere".
    pub cause_sip: Option<u16>,
    /// The whole Reason header.
    pub reason: Text<'a>,
    /// First Identity header that is a SHAKEN PASSporT.
    pub attestation: Option<Attestation<'a>>,
    /// `verstat` of PAI or From: what the network says it verified.
    pub verstat: Text<'a>,

    /// What was counted.
    pub counts: CallCounts,
    /// What has to be known to read the record right.
    pub flags: CallFlags,
    /// Codec that the answer chose for audio; empty without an answer in SDP.
    pub codec: CodecName,
    /// Media sent by the source, and by the destination; the pipeline's streams fill them.
    pub media: [MediaSummary; 2],
}

/// Names one call for as long as the probe runs; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct CallKey(pub u64);

/// Times of a call, microseconds since 1970 UTC, as the packets were captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CallTimes {
    /// The first INVITE (before any 401 or 407), or the first message when that was missed.
    pub start_us: i64,
    /// First response of any kind, 100 too.
    pub first_response_us: Option<i64>,
    /// First 18x: post-dial delay ends here.
    pub ringing_us: Option<i64>,
    /// First 2xx to the first INVITE; not moved by what comes later.
    pub answer_us: Option<i64>,
    /// First BYE, or the final response that refused the call.
    pub end_us: Option<i64>,
    /// The last message of the call.
    pub last_us: i64,
    /// First response to the BYE.
    pub bye_answered_us: Option<i64>,
}

impl CallTimes {
    /// Session Request Delay (RFC 6076, 4.3): first INVITE to the first answer that says something: 18x, 2xx or the refusal.
    pub fn srd_us(&self) -> Option<i64> {
        [self.ringing_us, self.answer_us, self.end_us]
            .into_iter()
            .flatten()
            .min()
            .map(|time| time - self.start_us)
    }

    /// Post-dial delay: first INVITE to the first 18x or 2xx.
    pub fn post_dial_delay_us(&self) -> Option<i64> {
        let first = match (self.ringing_us, self.answer_us) {
            (Some(ringing), Some(answer)) => ringing.min(answer),
            (one, other) => one.or(other)?,
        };
        Some(first - self.start_us)
    }

    /// First INVITE to the answer.
    pub fn setup_us(&self) -> Option<i64> {
        Some(self.answer_us? - self.start_us)
    }

    /// From the first 18x to the answer, or to the end when there was none.
    pub fn ring_us(&self) -> Option<i64> {
        Some(self.answer_us.or(self.end_us)? - self.ringing_us?)
    }

    /// Session Duration Time (RFC 6076, 4.5): answer to the first BYE.
    pub fn sdt_us(&self) -> Option<i64> {
        Some(self.end_us? - self.answer_us?)
    }

    /// Session Disconnect Delay (RFC 6076, 4.4): first BYE to its response.
    pub fn sdd_us(&self) -> Option<i64> {
        self.answer_us?;
        Some(self.bye_answered_us? - self.end_us?)
    }
}

/// Numbers and names of both sides: user parts of URIs without parameters, percent-escapes kept.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Parties<'a> {
    /// The source that counts: the first of PAI, PPI, RPID, From that has a user part.
    pub source: Text<'a>,
    /// Where it came from.
    pub source_origin: SourceOrigin,
    /// Display name beside it.
    pub source_name: Text<'a>,
    /// The caller wants or gets no presentation: Privacy asks for it, or the From is anonymous.
    pub anonymous: bool,
    /// The destination that counts: user part of the first Request-URI, else of To.
    pub destination: Text<'a>,
    /// Where it came from.
    pub destination_origin: DestinationOrigin,
    /// User part of From.
    pub from_user: Text<'a>,
    /// Host of From.
    pub from_host: Text<'a>,
    /// User part of To.
    pub to_user: Text<'a>,
    /// Host of the Request-URI.
    pub request_host: Text<'a>,
    /// P-Asserted-Identity (RFC 3325): user part of the first value with one.
    pub asserted: Text<'a>,
    /// P-Preferred-Identity.
    pub preferred: Text<'a>,
    /// Remote-Party-ID with party=calling or without party.
    pub remote_party: Text<'a>,
    /// Top Diversion (RFC 5806): who forwarded last.
    pub diversion: Text<'a>,
    /// Its reason.
    pub diversion_reason: Text<'a>,
    /// Last History-Info entry but one (RFC 7044): whom the call was for before.
    pub history: Text<'a>,
    /// P-Charge-Info (RFC 8496).
    pub charge: Text<'a>,
    /// P-Called-Party-ID (RFC 7315).
    pub called_party: Text<'a>,
    /// Privacy header (RFC 3323), whole.
    pub privacy: Text<'a>,
}

/// What an Identity header says (RFC 8224, 8588); decoded, not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attestation<'a> {
    /// `A`, `B` or `C`; 0 when the PASSporT has none.
    pub level: u8,
    /// Originating number, or URI.
    pub orig: Text<'a>,
    /// First destination number, or URI.
    pub dest: Text<'a>,
    /// Origination id.
    pub orig_id: Text<'a>,
    /// Issued at, seconds since 1970 UTC.
    pub issued_s: i64,
    /// Within 60 s of the INVITE.
    pub is_fresh: bool,
}

/// What was counted in a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CallCounts {
    /// All messages, repeated ones too.
    pub messages: u32,
    /// Messages sent again by their sender.
    pub retransmissions: u16,
    /// Of these, initial INVITEs.
    pub invite_retransmissions: u16,
    /// The same message seen again at once: the tap shows it twice.
    pub duplicates: u16,
    /// INVITEs inside the dialog.
    pub reinvites: u16,
    /// 401 and 407 on the way.
    pub challenges: u16,
    /// Different To tags: early dialogs of a forked call.
    pub forks: u16,
    /// 3xx responses.
    pub redirects: u16,
    /// REFER requests.
    pub transfers: u16,
    /// Offers that put the call on hold.
    pub holds: u16,
    /// PRACK, UPDATE and INFO requests.
    pub others: u16,
    /// Packets that the probe itself lost while the call was up; quality figures suffer from them, the call did not.
    pub lost_by_probe: u32,
}
