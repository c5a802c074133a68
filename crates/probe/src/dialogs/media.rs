//! Offers and answers (RFC 3264): where each side wants its media, told to the streams.
use core::net::{IpAddr, Ipv4Addr};

use ringfence_voice_wire::sdp::{self, CODECS_MAX, Media, MediaKind, Sdp};
use ringfence_voice_wire::sip::{Header, Method};

use super::call::Call;
use super::feed::{MediaAnnounced, PayloadCodec, Sink};
use super::fold::fold;
use super::incoming::Incoming;
use crate::record::{CallFlags, CodecName, Side};

impl Call {
    /// Reads the SDP of a message, if it has one that is new.
    #[inline]
    pub(super) fn take_sdp(&mut self, incoming: &Incoming<'_>, side: Side, sink: &mut impl Sink) {
        let message = &incoming.message;
        let body = message.body();
        if body.is_empty() {
            return;
        }
        let Some(body) = message
            .get(Header::ContentType)
            .and_then(|kind| sdp::find(kind, body))
        else {
            return;
        };
        // A response is written by the side that did not ask.
        let writer = if incoming.status.is_some() {
            side.other()
        } else {
            side
        };
        let hash = fold(0, body) as u32 | 1;
        match self.sdp.get_mut(writer.index()) {
            Some(known) if *known == hash => return,
            Some(known) => *known = hash,
            None => return,
        }
        let Some(sdp) = Sdp::parse(body) else { return };
        let is_offer = incoming.status.is_none()
            && matches!(incoming.method, Method::Invite | Method::Update)
            || self.offer != Some(writer.other());
        if is_offer {
            self.offer = Some(writer);
        }
        if incoming.status.is_some_and(|status| status < 200) {
            self.flags.set(CallFlags::EARLY_MEDIA);
        }
        let mut is_announced = false;
        for media in sdp.media() {
            self.take_media(&media, is_offer);
            if media.kind == MediaKind::Audio && media.port != 0 && !is_announced {
                is_announced = true;
                self.note_hold(&media, writer);
                self.announce(&media, is_offer, writer, incoming, sink);
            }
        }
    }

    fn take_media(&mut self, media: &Media<'_>, is_offer: bool) {
        if media.port == 0 {
            return;
        }
        if media.is_fax() {
            self.flags.set(CallFlags::FAX);
        }
        if media.kind == MediaKind::Video && !is_offer {
            self.flags.set(CallFlags::VIDEO);
        }
        if media.is_encrypted() && !is_offer {
            self.flags.set(CallFlags::ENCRYPTED_MEDIA);
        }
    }

    fn note_hold(&mut self, media: &Media<'_>, writer: Side) {
        let is_held = media.is_held();
        if let Some(was_held) = self.is_held.get_mut(writer.index()) {
            if is_held && !*was_held {
                self.counts.holds = self.counts.holds.saturating_add(1);
            }
            *was_held = is_held;
        }
    }

    fn announce(
        &mut self,
        media: &Media<'_>,
        is_offer: bool,
        writer: Side,
        incoming: &Incoming<'_>,
        sink: &mut impl Sink,
    ) {
        let codecs = media.codecs();
        if !is_offer && let Some(codec) = codecs.voice() {
            self.codec = CodecName::new(codec.name);
        }
        let none = PayloadCodec {
            payload_type: 0,
            codec: CodecName::default(),
            clock_rate: 0,
        };
        let mut all = [none; CODECS_MAX];
        let mut length = 0;
        for (place, codec) in all.iter_mut().zip(codecs.iter()) {
            *place = PayloadCodec {
                payload_type: codec.payload_type,
                codec: CodecName::new(codec.name),
                clock_rate: codec.clock_rate,
            };
            length += 1;
        }
        sink.media_announced(&MediaAnnounced {
            call: self.key,
            time_us: incoming.arrival.time_us,
            receiver: writer,
            address: media.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: media.port,
            rtcp_port: media.rtcp_port,
            signalling: incoming.arrival.source.ip(),
            codecs: all.get(..length).unwrap_or_default(),
            is_encrypted: media.is_encrypted(),
        });
    }
}
