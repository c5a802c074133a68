//! A call's state becomes its record.
use super::call::{Call, NEVER, Phase};
use super::texts::Field;
use crate::record::{
    Attestation, CallFlags, CallRecord, CallResult, CallTimes, DestinationOrigin, MediaSummary,
    Parties, SourceOrigin,
};

/// A PASSporT is fresh for so long, seconds (RFC 8224, 6.2).
const FRESH_S: u64 = ringfence_voice_wire::stir::FRESH_S.unsigned_abs();

impl Call {
    /// The record of what is known now.
    pub(super) fn record(&self) -> CallRecord<'_> {
        let text = |field| self.texts.get(field);
        CallRecord {
            key: self.key,
            times: self.times(),
            source_address: self.source,
            destination_address: self.destination,
            transport: self.transport,
            vlan: self.vlan,
            hops: self.hops,
            call_id: text(Field::CallId),
            from_tag: text(Field::FromTag),
            to_tag: text(Field::ToTag),
            session_id: text(Field::SessionId),
            correlation_id: self.correlation_id,
            correlated_by: self.correlated_by,
            parties: self.parties(),
            source_agent: text(Field::SourceAgent),
            destination_agent: text(Field::DestinationAgent),
            status: self.status,
            result: self.result(),
            released_by: self.released_by,
            cause_q850: self.cause_q850,
            cause_sip: self.cause_sip,
            reason: text(Field::Reason),
            attestation: self.attestation.map(|level| Attestation {
                level,
                orig: text(Field::Orig),
                dest: text(Field::Dest),
                orig_id: text(Field::OrigId),
                issued_s: self.issued_s,
                is_fresh: self
                    .moments
                    .start
                    .div_euclid(1_000_000)
                    .abs_diff(self.issued_s)
                    <= FRESH_S,
            }),
            verstat: text(Field::Verstat),
            counts: self.counts,
            flags: self.final_flags(),
            codec: self.codec,
            media: [MediaSummary::default(); 2],
        }
    }

    fn times(&self) -> CallTimes {
        let some = |moment: i64| (moment != NEVER).then_some(moment);
        CallTimes {
            start_us: self.moments.start,
            first_response_us: some(self.moments.first_response),
            ringing_us: some(self.moments.ringing),
            answer_us: some(self.moments.answer),
            end_us: some(self.moments.end),
            last_us: self.moments.last,
            bye_answered_us: some(self.moments.bye_answered),
        }
    }

    fn parties(&self) -> Parties<'_> {
        let text = |field| self.texts.get(field);
        let (source, source_name) = match self.source_origin {
            SourceOrigin::Asserted => (Field::Asserted, Field::AssertedName),
            SourceOrigin::Preferred => (Field::Preferred, Field::FromName),
            SourceOrigin::RemoteParty => (Field::RemoteParty, Field::FromName),
            SourceOrigin::From | SourceOrigin::None => (Field::FromUser, Field::FromName),
        };
        let (destination, destination_origin) = if !text(Field::RequestUser).is_empty() {
            (text(Field::RequestUser), DestinationOrigin::RequestUri)
        } else if !text(Field::ToUser).is_empty() {
            (text(Field::ToUser), DestinationOrigin::To)
        } else {
            Default::default()
        };
        Parties {
            source: text(source),
            source_origin: self.source_origin,
            source_name: text(source_name),
            anonymous: self.is_anonymous,
            destination,
            destination_origin,
            from_user: text(Field::FromUser),
            from_host: text(Field::FromHost),
            to_user: text(Field::ToUser),
            request_host: text(Field::RequestHost),
            asserted: text(Field::Asserted),
            preferred: text(Field::Preferred),
            remote_party: text(Field::RemoteParty),
            diversion: text(Field::Diversion),
            diversion_reason: text(Field::DiversionReason),
            history: text(Field::History),
            charge: text(Field::Charge),
            called_party: text(Field::CalledParty),
            privacy: text(Field::Privacy),
        }
    }

    fn result(&self) -> CallResult {
        if self.moments.answer != NEVER || self.flags.has(CallFlags::ANSWER_MISSED) {
            return CallResult::Answered;
        }
        match CallResult::of_status(self.status, self.was_cancelled) {
            CallResult::Unfinished if self.was_cancelled => CallResult::Cancelled,
            result => result,
        }
    }

    fn final_flags(&self) -> CallFlags {
        let mut flags = self.flags;
        if self.moments.end == NEVER {
            flags.set(CallFlags::END_MISSED);
        }
        if self.moments.answer != NEVER && !self.was_acknowledged {
            flags.set(CallFlags::ACK_MISSED);
        }
        if self.was_cancelled && self.moments.answer != NEVER {
            flags.set(CallFlags::CANCEL_LOST);
        }
        if self.counts.lost_by_probe > 0 {
            flags.set(CallFlags::PROBE_LOST_PACKETS);
        }
        if self.phase != Phase::Over && self.phase != Phase::Refused {
            flags.set(CallFlags::END_MISSED);
        }
        flags
    }
}

impl Call {
    /// Source and destination numbers, as other legs are found by.
    pub(super) fn parties_for_correlation(
        &self,
    ) -> (crate::record::Text<'_>, crate::record::Text<'_>) {
        let parties = self.parties();
        (parties.source, parties.destination)
    }
}
