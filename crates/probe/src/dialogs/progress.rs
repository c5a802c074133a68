//! What each message changes in its call.
use ringfence_voice_wire::sip::{Header, Message, Method, Reason, session_expires};

use super::call::{Call, NEVER, Phase, once};
use super::incoming::Incoming;
use super::texts::Field;
use crate::record::{CallFlags, Side};

/// The same message again within so many microseconds was not sent again, the tap shows it twice (T1 is 500 ms; RFC 3261, 17.1.1.1).
const DUPLICATE_US: u32 = 10_000;

impl Call {
    /// Takes a message of this call. Returns whether it was a new one; a repeated one says nothing new.
    #[inline]
    pub(super) fn take(&mut self, incoming: &Incoming<'_>, side: Side) -> bool {
        let now = incoming.arrival.time_us;
        self.counts.messages = self.counts.messages.saturating_add(1);
        self.moments.last = self.moments.last.max(now);
        if incoming.arrival.is_truncated {
            self.flags.set(CallFlags::TRUNCATED);
        }
        if let Some(after_us) = self.seen_before(incoming.fingerprint(), now) {
            self.count_repeated(incoming, after_us);
            return false;
        }
        self.is_two_sided |= incoming.status.is_some() || side == Side::Destination;
        match incoming.status {
            None => self.request(incoming, side, now),
            Some(status) => self.response(incoming, status, side, now),
        }
        true
    }

    fn count_repeated(&mut self, incoming: &Incoming<'_>, after_us: u32) {
        let count = if after_us < DUPLICATE_US {
            &mut self.counts.duplicates
        } else {
            if incoming.is_initial_invite() {
                self.counts.invite_retransmissions =
                    self.counts.invite_retransmissions.saturating_add(1);
            }
            &mut self.counts.retransmissions
        };
        *count = count.saturating_add(1);
    }

    fn request(&mut self, incoming: &Incoming<'_>, side: Side, now: i64) {
        match incoming.method {
            Method::Invite if incoming.to_tag.is_empty() && side == Side::Source => {
                self.initial_invite(incoming)
            }
            Method::Ack => {
                self.was_acknowledged = true;
                if self.flags.has(CallFlags::START_MISSED) || self.phase == Phase::Proceeding {
                    // Only an answer is acknowledged end to end while nothing was refused.
                    self.flags.set(CallFlags::ANSWER_MISSED);
                }
            }
            Method::Bye => self.hang_up(incoming, side, now),
            Method::Cancel => {
                self.was_cancelled = true;
                self.read_reason(&incoming.message);
            }
            method => {
                if self.is_new_request(incoming.cseq, side) {
                    self.count_request(method);
                }
            }
        }
        if side == Side::Destination {
            self.texts
                .set_first(Field::DestinationAgent, incoming.agent());
        }
    }

    fn is_new_request(&mut self, cseq: u32, side: Side) -> bool {
        match self.cseq.get_mut(side.index()) {
            Some(highest) if cseq > *highest => {
                *highest = cseq;
                true
            }
            _ => false,
        }
    }

    fn count_request(&mut self, method: Method) {
        let count = match method {
            Method::Invite => &mut self.counts.reinvites,
            Method::Refer => &mut self.counts.transfers,
            _ => &mut self.counts.others,
        };
        *count = count.saturating_add(1);
        if method == Method::Refer {
            self.flags.set(CallFlags::TRANSFERRED);
        }
    }

    fn initial_invite(&mut self, incoming: &Incoming<'_>) {
        let arrival = incoming.arrival;
        if self.flags.has(CallFlags::START_MISSED) {
            // The tap showed an answer before its question.
            self.flags.0 &= !CallFlags::START_MISSED.0;
            self.moments.start = self.moments.start.min(arrival.time_us);
            (self.source, self.destination) = (arrival.source, arrival.destination);
            self.invite_cseq = incoming.cseq;
            self.open_invites = 1;
            self.read_parties(incoming);
        } else if incoming.cseq == self.invite_cseq {
            self.open_invites = self
                .open_invites
                .saturating_add(u8::from(self.counts.messages > 1));
            if self.counts.messages == 1 {
                self.open_invites = 1;
            } else if arrival.source.ip() == self.destination.ip() {
                self.destination = arrival.destination;
                self.hops = self.hops.saturating_add(1);
            } else if arrival.destination.ip() == self.source.ip() {
                self.source = arrival.source;
                self.hops = self.hops.saturating_add(1);
            }
        } else if incoming.cseq > self.invite_cseq {
            // Again, with credentials or to another target.
            self.invite_cseq = incoming.cseq;
            self.phase = Phase::Trying;
            self.moments.end = NEVER;
            self.released_by = None;
            self.open_invites = 1;
            self.from_hash = incoming.from_hash;
        }
    }

    fn hang_up(&mut self, incoming: &Incoming<'_>, side: Side, now: i64) {
        if self.phase == Phase::Over {
            return;
        }
        if self.moments.answer == NEVER && self.phase != Phase::Refused {
            self.flags.set(CallFlags::ANSWER_MISSED);
        }
        if self.status < 200 {
            self.status = 200;
        }
        self.phase = Phase::Over;
        self.moments.end = now;
        self.released_by = Some(side);
        self.read_reason(&incoming.message);
    }

    fn response(&mut self, incoming: &Incoming<'_>, status: u16, side: Side, now: i64) {
        match incoming.method {
            Method::Invite if side == Side::Source && incoming.cseq == self.invite_cseq => {
                once(&mut self.moments.first_response, now);
                if status > 100 {
                    self.read_called_side(incoming, status);
                }
                match status {
                    ..=199 => self.provisional(incoming, status, now),
                    200..=299 => self.answer(incoming, status, now),
                    _ => self.refuse(incoming, status, now),
                }
            }
            Method::Bye if status >= 200 && !matches!(status, 401 | 407) => {
                once(&mut self.moments.bye_answered, now)
            }
            Method::Update if status / 100 == 2 => self.read_session_timer(&incoming.message),
            _ => {}
        }
    }

    fn read_called_side(&mut self, incoming: &Incoming<'_>, status: u16) {
        if self.moments.answer == NEVER && !incoming.to_tag.is_empty() && status < 300 {
            self.texts.set(Field::ToTag, incoming.to_tag);
        }
        if !matches!(status, 401 | 407) {
            self.texts
                .set_first(Field::DestinationAgent, incoming.agent());
        }
    }

    fn provisional(&mut self, incoming: &Incoming<'_>, status: u16, now: i64) {
        if self.phase == Phase::Trying {
            self.phase = Phase::Proceeding;
        }
        if status > 100 {
            self.note_early(incoming.to_hash);
        }
        if (180..190).contains(&status) {
            once(&mut self.moments.ringing, now);
        }
    }

    fn answer(&mut self, incoming: &Incoming<'_>, status: u16, now: i64) {
        self.open_invites = 0;
        if self.moments.answer != NEVER || self.phase == Phase::Over {
            return; // a further hop, or another branch that answered too late
        }
        self.moments.answer = now;
        self.status = status;
        self.phase = Phase::Answered;
        self.moments.end = NEVER;
        self.released_by = None;
        self.note_early(incoming.to_hash);
        self.flags.0 &= !CallFlags::ANSWER_MISSED.0;
        self.read_session_timer(&incoming.message);
    }

    fn refuse(&mut self, incoming: &Incoming<'_>, status: u16, now: i64) {
        self.open_invites = self.open_invites.saturating_sub(1);
        if self.phase == Phase::Answered || self.phase == Phase::Over {
            return;
        }
        // What the caller is told counts more than what a branch said to a proxy.
        let is_for_caller = incoming.arrival.destination == self.source;
        let was_refused = self.phase == Phase::Refused;
        if was_refused && !is_for_caller {
            return;
        }
        let is_same = was_refused && self.status == status;
        self.phase = Phase::Refused;
        self.status = status;
        if self.has_other_early(incoming.to_hash) && self.counts.forks > 1 {
            self.open_invites = self.open_invites.max(1); // another early dialog may still be answered
        }
        if is_same {
            return;
        }
        let count = match status {
            401 | 407 => &mut self.counts.challenges,
            300..=399 => &mut self.counts.redirects,
            _ => &mut 0,
        };
        *count = count.saturating_add(1);
        self.moments.end = now;
        self.released_by = Some(if self.was_cancelled {
            Side::Source
        } else {
            Side::Destination
        });
        self.read_reason(&incoming.message);
    }

    fn read_session_timer(&mut self, message: &Message<'_>) {
        if let Some(seconds) = message
            .get(Header::SessionExpires)
            .and_then(session_expires)
        {
            self.session_s = seconds;
        }
    }

    /// The causes in the message that ends the call.
    fn read_reason(&mut self, message: &Message<'_>) {
        let Some(value) = message.get(Header::Reason) else {
            return;
        };
        self.texts.set(Field::Reason, value);
        for reason in message.all(Header::Reason).flat_map(Reason::list) {
            if reason.is_q850() {
                self.cause_q850 = reason.cause.and_then(|cause| cause.try_into().ok());
            } else if reason.protocol.eq_ignore_ascii_case(b"sip") {
                self.cause_sip = reason.cause;
            }
        }
    }
}
