//! State of one call.
//!
//! ```text
//!            INVITE            1xx                 2xx               BYE
//!  (none) ──────────► Trying ──────► Proceeding ──────► Answered ──────────► Over ── linger ──► record
//!                        │  3xx–6xx       │                 ▲
//!                        └───────────────►├──► Refused ─────┘ a 2xx of another branch wins
//!                              ▲          │       │
//!                              └──────────┴───────┘ a further INVITE: after 401, 407, 3xx, or to the next trunk
//! ```
use core::net::SocketAddr;

use ringfence_voice_wire::sip::Method;

use super::config::DialogsConfig;
use super::incoming::Incoming;
use super::texts::{Field, Texts};
use crate::record::{
    CallCounts, CallFlags, CallKey, CodecName, CorrelatedBy, Side, SourceOrigin, Transport,
};

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No response yet.
    Trying,
    /// A provisional response.
    Proceeding,
    /// A final response that is no answer.
    Refused,
    /// Answered and up.
    Answered,
    /// Hung up.
    Over,
}

/// No time yet.
pub(super) const NEVER: i64 = i64::MIN;

/// Times in microseconds, [`NEVER`] for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub start: i64,
    pub first_response: i64,
    pub ringing: i64,
    pub answer: i64,
    pub end: i64,
    pub last: i64,
    pub bye_answered: i64,
}

/// Sets a time that must not be moved by what comes later.
pub(super) fn once(moment: &mut i64, now: i64) {
    if *moment == NEVER {
        *moment = now;
    }
}

/// How many of the last messages are remembered, to know them when they come again.
const RECENT: usize = 6;
/// Early dialogs told apart; more are one.
const EARLY: usize = 4;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub key: CallKey,
    /// Keyed hash of the Call-ID.
    pub hash: u64,
    /// Hash of the caller's tag.
    pub from_hash: u32,
    /// CSeq of the INVITE that is going on outside a dialog.
    pub invite_cseq: u32,
    /// Highest CSeq of each side's further requests.
    pub cseq: [u32; 2],
    pub phase: Phase,
    pub status: u16,
    pub released_by: Option<Side>,
    pub was_cancelled: bool,
    pub was_acknowledged: bool,
    /// Both sides have sent something: no longer what a flood looks like.
    pub is_two_sided: bool,
    pub is_scanner: bool,
    /// INVITEs of this CSeq on different ways that have no final response yet.
    pub open_invites: u8,
    pub hops: u8,
    pub transport: Transport,
    pub vlan: u16,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub moments: Moments,
    recent: [u64; RECENT],
    /// When, low 32 bits of the microseconds.
    recent_us: [u32; RECENT],
    recent_at: u8,
    early: [u32; EARLY],
    /// Who made the last offer.
    pub offer: Option<Side>,
    pub is_held: [bool; 2],
    /// Hash of the last SDP of each side.
    pub sdp: [u32; 2],
    pub codec: CodecName,
    pub cause_q850: Option<u8>,
    pub cause_sip: Option<u16>,
    /// Of Session-Expires, seconds; 0 for none.
    pub session_s: u32,
    pub source_origin: SourceOrigin,
    pub is_anonymous: bool,
    /// `A`, `B`, `C`, 0 for a PASSporT without; `None` for no Identity.
    pub attestation: Option<u8>,
    pub issued_s: i64,
    pub correlation_id: u64,
    pub correlated_by: CorrelatedBy,
    pub counts: CallCounts,
    pub flags: CallFlags,
    pub texts: Texts,
}

impl Call {
    /// A call that begins with this message.
    pub(super) fn begin(key: CallKey, hash: u64, incoming: &Incoming<'_>) -> Self {
        let arrival = incoming.arrival;
        // A response runs back to the caller.
        let (source, destination) = match incoming.status {
            None => (arrival.source, arrival.destination),
            Some(_) => (arrival.destination, arrival.source),
        };
        let now = arrival.time_us;
        let mut call = Self {
            key,
            hash,
            from_hash: incoming.from_hash,
            invite_cseq: if incoming.method == Method::Invite {
                incoming.cseq
            } else {
                0
            },
            cseq: [0; 2],
            phase: Phase::Trying,
            status: 0,
            released_by: None,
            was_cancelled: false,
            was_acknowledged: false,
            is_two_sided: false,
            is_scanner: false,
            open_invites: 0,
            hops: 1,
            transport: arrival.transport,
            vlan: arrival.vlan,
            source,
            destination,
            moments: Moments {
                start: now,
                first_response: NEVER,
                ringing: NEVER,
                answer: NEVER,
                end: NEVER,
                last: now,
                bye_answered: NEVER,
            },
            recent: [0; RECENT],
            recent_us: [0; RECENT],
            recent_at: 0,
            early: [0; EARLY],
            offer: None,
            is_held: [false; 2],
            sdp: [0; 2],
            codec: CodecName::default(),
            cause_q850: None,
            cause_sip: None,
            session_s: 0,
            source_origin: SourceOrigin::None,
            is_anonymous: false,
            attestation: None,
            issued_s: 0,
            correlation_id: 0,
            correlated_by: CorrelatedBy::None,
            counts: CallCounts::default(),
            flags: CallFlags::default(),
            texts: Texts::default(),
        };
        call.texts.set(Field::CallId, incoming.call_id);
        call.texts.set(Field::FromTag, incoming.from_tag);
        call
    }

    /// Which side's transaction a message belongs to; `None`: it is of another dialog with the same Call-ID.
    #[inline]
    pub(super) fn side_of(&self, incoming: &Incoming<'_>) -> Option<Side> {
        if incoming.from_hash == self.from_hash {
            Some(Side::Source)
        } else if !incoming.to_tag.is_empty() && incoming.to_hash == self.from_hash {
            Some(Side::Destination)
        } else {
            None
        }
    }

    /// How long ago this very message came, microseconds; `None` when it is new. It is remembered from now on.
    #[inline]
    pub(super) fn seen_before(&mut self, fingerprint: u64, now: i64) -> Option<u32> {
        let now = now as u32; // low bits: calls that repeat a message after 71 minutes do not exist
        if let Some(index) = self.recent.iter().position(|known| *known == fingerprint) {
            let before = self.recent_us.get_mut(index)?;
            return Some(now.wrapping_sub(core::mem::replace(before, now)));
        }
        let at = usize::from(self.recent_at);
        if let (Some(place), Some(time)) = (self.recent.get_mut(at), self.recent_us.get_mut(at)) {
            (*place, *time) = (fingerprint, now);
        }
        self.recent_at = (self.recent_at + 1) % RECENT as u8;
        None
    }

    /// Counts the early dialogs by their To tags.
    pub(super) fn note_early(&mut self, tag_hash: u32) {
        let tag_hash = tag_hash.max(1);
        for place in &mut self.early {
            if *place == tag_hash {
                return;
            }
            if *place == 0 {
                *place = tag_hash;
                self.counts.forks = self.counts.forks.saturating_add(1);
                return;
            }
        }
    }

    /// Whether other early dialogs than this one may still be answered.
    pub(super) fn has_other_early(&self, tag_hash: u32) -> bool {
        self.early
            .iter()
            .any(|early| *early != 0 && *early != tag_hash.max(1))
    }

    /// Up: answered and not hung up.
    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Answered
    }

    /// When the call is to be given up if nothing more comes, seconds since 1970.
    pub(super) fn deadline_s(&self, config: &DialogsConfig) -> i64 {
        let patience = match self.phase {
            // Timer B: a caller gives up after 32 s without any response (RFC 3261, 17.1.1.2).
            Phase::Trying => config.setup_s.min(40),
            Phase::Proceeding if self.was_cancelled => config.setup_s.min(40),
            Phase::Proceeding => config.setup_s,
            // A person may have to type a password, another branch may still ring.
            Phase::Refused if matches!(self.status, 401 | 407) => config.setup_s.min(32),
            Phase::Refused if self.open_invites > 0 => config.setup_s.min(180),
            Phase::Refused | Phase::Over => config.linger_s,
            Phase::Answered if self.session_s > 0 => {
                self.session_s.saturating_add(60).min(config.idle_s)
            }
            Phase::Answered => config.idle_s,
        };
        self.moments.last.div_euclid(1_000_000) + i64::from(patience) + 1
    }
}
