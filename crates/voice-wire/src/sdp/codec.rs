//! Payload types and their codecs: `a=rtpmap`, else the static table of RFC 3551.
use crate::sip::number;

/// Codecs read of one media; more are not looked at.
pub const CODECS_MAX: usize = 24;

/// One payload type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Codec<'a> {
    /// 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written; empty for a dynamic type without rtpmap.
    pub name: &'a [u8],
    /// RTP clock, Hz; 0 when unknown.
    pub clock_rate: u32,
}

impl Codec<'_> {
    /// DTMF and tones (RFC 4733): no codec for voice.
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case(b"telephone-event") || self.is_noise()
    }

    fn is_noise(&self) -> bool {
        self.name.eq_ignore_ascii_case(b"CN")
    }
}

/// The codecs of one media.
#[derive(Debug, Clone, Copy)]
pub struct Codecs<'a> {
    all: [Codec<'a>; CODECS_MAX],
    length: usize,
}

impl<'a> Codecs<'a> {
    pub(super) fn read(formats: &'a [u8], lines: &'a [u8]) -> Self {
        let mut codecs = Self {
            all: [Codec::default(); CODECS_MAX],
            length: 0,
        };
        let types = formats
            .split(|octet| *octet == b' ')
            .filter_map(number)
            .filter_map(|number| u8::try_from(number).ok())
            .filter(|payload_type| *payload_type < 128);
        for (place, payload_type) in codecs.all.iter_mut().zip(types) {
            *place = static_codec(payload_type);
            codecs.length += 1;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            let (line, tail) = super::split_line(rest);
            rest = tail;
            if let Some(map) = line.strip_prefix(b"a=rtpmap:") {
                codecs.map(map);
            }
        }
        codecs
    }

    /// `101 telephone-event/8000`
    fn map(&mut self, map: &'a [u8]) -> Option<()> {
        let space = memchr::memchr(b' ', map)?;
        let payload_type = u8::try_from(number(map.get(..space)?)?).ok()?;
        let mut parts = map.get(space..)?.trim_ascii().split(|octet| *octet == b'/');
        let name = parts.next()?;
        let clock_rate = parts
            .next()
            .and_then(number)
            .and_then(|rate| rate.try_into().ok());
        let place = self
            .all
            .iter_mut()
            .take(self.length)
            .find(|codec| codec.payload_type == payload_type)?;
        place.name = name;
        place.clock_rate = clock_rate.unwrap_or(8000);
        Some(())
    }

    /// All of them, most wanted first.
    pub fn iter(&self) -> impl Iterator<Item = &Codec<'a>> {
        self.all.iter().take(self.length)
    }

    /// The first that carries voice.
    pub fn voice(&self) -> Option<&Codec<'a>> {
        self.iter()
            .find(|codec| !codec.is_telephone_event() && !codec.name.is_empty())
    }
}

/// RFC 3551, tables 4 and 5.
const fn static_codec(payload_type: u8) -> Codec<'static> {
    let (name, clock_rate): (&[u8], u32) = match payload_type {
        0 => (b"PCMU", 8000),
        3 => (b"GSM", 8000),
        4 => (b"G723", 8000),
        5 => (b"DVI4", 8000),
        6 => (b"DVI4", 16000),
        7 => (b"LPC", 8000),
        8 => (b"PCMA", 8000),
        9 => (b"G722", 8000),
        10 | 11 => (b"L16", 44100),
        12 => (b"QCELP", 8000),
        13 => (b"CN", 8000),
        14 => (b"MPA", 90000),
        15 => (b"G728", 8000),
        16 => (b"DVI4", 11025),
        17 => (b"DVI4", 22050),
        18 => (b"G729", 8000),
        25 => (b"CelB", 90000),
        26 => (b"JPEG", 90000),
        28 => (b"nv", 90000),
        31 => (b"H261", 90000),
        32 => (b"MPV", 90000),
        33 => (b"MP2T", 90000),
        34 => (b"H263", 90000),
        _ => (b"", 0),
    };
    Codec {
        payload_type,
        name,
        clock_rate,
    }
}
