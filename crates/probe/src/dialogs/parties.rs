//! What an INVITE says of both sides: numbers, names, agents, attestation.
use ringfence_voice_wire::sip::{Address, Header, Message, StartLine, Uri, list, session_id};
use ringfence_voice_wire::stir::{Form, Identity};

use super::call::Call;
use super::incoming::Incoming;
use super::texts::Field;
use crate::record::SourceOrigin;

/// Identity headers looked at in one INVITE.
const IDENTITIES_MAX: usize = 4;

impl Call {
    /// Reads who calls whom from a message of the call: all of an INVITE, From and To of any other.
    pub(super) fn read_parties(&mut self, incoming: &Incoming<'_>) {
        self.read_from_and_to(incoming);
        if let StartLine::Request { uri, .. } = incoming.message.start()
            && incoming.is_initial_invite()
        {
            if let Some(uri) = Uri::parse(uri) {
                self.texts.set(Field::RequestUser, uri.user);
                self.texts.set(Field::RequestHost, uri.host);
            }
            self.read_identities(&incoming.message);
            self.read_forwarding(&incoming.message);
            self.read_attestation(&incoming.message);
            self.texts.set(Field::SourceAgent, incoming.agent());
            if let Some(id) = incoming.message.get(Header::SessionId).and_then(session_id) {
                self.texts.set(Field::SessionId, id);
            }
        }
        self.texts.settle();
    }

    fn read_from_and_to(&mut self, incoming: &Incoming<'_>) {
        self.texts.set(Field::FromName, incoming.from.name);
        if let Some(uri) = incoming.from.uri() {
            self.texts.set(Field::FromUser, uri.user);
            self.texts.set(Field::FromHost, uri.host);
            if !uri.user.is_empty() {
                self.source_origin = SourceOrigin::From;
            }
            self.is_anonymous =
                is_anonymous_user(uri.user) || uri.host.eq_ignore_ascii_case(b"anonymous.invalid");
            self.texts.set(
                Field::Verstat,
                uri.parameter(b"verstat").unwrap_or_default(),
            );
        }
        if let Some(uri) = incoming.to.uri() {
            self.texts.set(Field::ToUser, uri.user);
        }
    }

    /// The order of preference: PAI, PPI, RPID, From.
    fn read_identities(&mut self, message: &Message<'_>) {
        if let Some(value) = message.get(Header::RemotePartyId)
            && let Some(party) = Address::parse(value)
            && party
                .parameter(b"party")
                .is_none_or(|party| party.eq_ignore_ascii_case(b"calling"))
            && self.take_identity(Field::RemoteParty, &party)
        {
            self.source_origin = SourceOrigin::RemoteParty;
        }
        if let Some(value) = message.get(Header::PreferredIdentity)
            && Address::parse(value)
                .is_some_and(|party| self.take_identity(Field::Preferred, &party))
        {
            self.source_origin = SourceOrigin::Preferred;
        }
        if message.get(Header::AssertedIdentity).is_some() {
            self.read_asserted(message);
        }
        if let Some(privacy) = message.get(Header::Privacy) {
            self.texts.set(Field::Privacy, privacy);
            self.is_anonymous |= privacy
                .split(|octet| matches!(octet, b';' | b',' | b' '))
                .any(|word| {
                    [b"id".as_slice(), b"user", b"header", b"full"]
                        .iter()
                        .any(|asked| asked.eq_ignore_ascii_case(word))
                });
        }
    }

    /// Up to two values, a SIP and a TEL URI (RFC 3325, 9.1), in one header field or in two.
    fn read_asserted(&mut self, message: &Message<'_>) {
        for value in message.all(Header::AssertedIdentity).flat_map(list) {
            let Some(party) = Address::parse(value) else {
                continue;
            };
            if self.take_identity(Field::Asserted, &party) {
                self.texts.set(Field::AssertedName, party.name);
                self.source_origin = SourceOrigin::Asserted;
                if let Some(verstat) = party.uri().and_then(|uri| uri.parameter(b"verstat")) {
                    self.texts.set(Field::Verstat, verstat);
                }
                return;
            }
        }
    }

    fn take_identity(&mut self, field: Field, party: &Address<'_>) -> bool {
        match party.uri() {
            Some(uri) if !uri.user.is_empty() => {
                self.texts.set(field, uri.user);
                true
            }
            _ => false,
        }
    }

    fn read_forwarding(&mut self, message: &Message<'_>) {
        if let Some(value) = message.get(Header::Diversion)
            && let Some(party) = Address::parse(value)
        {
            self.take_identity(Field::Diversion, &party);
            self.texts.set(
                Field::DiversionReason,
                party.parameter(b"reason").unwrap_or_default(),
            );
        }
        if message.get(Header::HistoryInfo).is_some() {
            // The last entry is whom the call is for now; the one before it, whom it was for.
            let (mut before, mut last) = (None, None);
            for value in message.all(Header::HistoryInfo).flat_map(list) {
                before = last.replace(value);
            }
            if let Some(party) = before.and_then(Address::parse) {
                self.take_identity(Field::History, &party);
            }
        }
        for (header, field) in [
            (Header::ChargeInfo, Field::Charge),
            (Header::CalledPartyId, Field::CalledParty),
        ] {
            if let Some(party) = message.get(header).and_then(Address::parse) {
                self.take_identity(field, &party);
            }
        }
    }

    fn read_attestation(&mut self, message: &Message<'_>) {
        if message.get(Header::Identity).is_none() {
            return;
        }
        for value in message
            .all(Header::Identity)
            .flat_map(list)
            .take(IDENTITIES_MAX)
        {
            let Ok(identity) = Identity::parse(value) else {
                continue;
            };
            let shaken = identity.is_shaken();
            let Form::Full(passport) = identity.form else {
                continue;
            };
            if !shaken && passport.attestation.is_none() {
                continue;
            }
            self.attestation = Some(passport.attestation.map_or(0, |level| level.letter()));
            self.issued_s = passport.issued_s.unwrap_or_default();
            self.texts.set(Field::Orig, passport.orig.as_bytes());
            self.texts.set(
                Field::Dest,
                passport.dest.first().map_or(b"", |dest| dest.as_bytes()),
            );
            self.texts.set(Field::OrigId, passport.orig_id.as_bytes());
            return;
        }
    }
}

/// User parts that say that there is no number to show.
fn is_anonymous_user(user: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [
        b"anonymous",
        b"restricted",
        b"unavailable",
        b"unknown",
        b"private",
    ];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(user))
}

/// User-Agents of tools that scan for open systems.
const SCANNERS: [&[u8]; 11] = [
    b"friendly-scanner",
    b"sipvicious",
    b"friendly-request",
    b"sipcli",
    b"sip-scan",
    b"sipscan",
    b"sundayddr",
    b"iwar",
    b"pplsip",
    b"smap",
    b"vaxsipuseragent",
];

/// Whether a User-Agent is one of a scanner.
pub(super) fn is_scanner(agent: &[u8]) -> bool {
    SCANNERS.iter().any(|scanner| {
        agent
            .get(..scanner.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scanner))
    })
}
