//! Payload types: static names and clocks (RFC 3551), and whether a packet carries sound.

use crate::dialogs::PayloadCodec;
use crate::record::CodecName;

/// A codec as the stream meets it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Codec {
    /// Its name.
    pub name: CodecName,
    /// RTP clock, Hz; 0 while unknown.
    pub clock_rate: u32,
    /// What its payload says about sound.
    pub sound: Sound,
    /// Telephone events (RFC 4733).
    pub is_event: bool,
}

/// How silence is told from sound without decoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sound {
    /// G.711 A-law samples.
    ALaw,
    /// G.711 µ-law samples.
    MuLaw,
    /// Comfort noise (RFC 3389).
    Noise,
    /// A frame this short only describes silence (G.729 Annex B: 2, AMR SID: 7 …).
    Longer(u8),
    /// Encrypted or not known: taken for sound.
    Any,
}

const COMFORT_NOISE: u8 = 13;
/// Louder than this (a step of G.711's exponent) is sound: about −45 dBm0.
const LOUD_EXPONENT: u8 = 2;

/// The codec of a payload type: what the call announced, else the static table, else nothing known.
pub fn of_payload_type(payload_type: u8, announced: &[PayloadCodec], is_encrypted: bool) -> Codec {
    let announced = announced
        .iter()
        .find(|codec| codec.payload_type == payload_type);
    let (name, clock_rate) = match announced {
        Some(codec) => (codec.codec, codec.clock_rate),
        None => statics(payload_type),
    };
    let text = name.as_str();
    let is = |other: &str| text.eq_ignore_ascii_case(other);
    let sound = match text {
        _ if is_encrypted => Sound::Any,
        _ if is("PCMA") => Sound::ALaw,
        _ if is("PCMU") => Sound::MuLaw,
        _ if is("CN") => Sound::Noise,
        _ if is("G729") => Sound::Longer(9),
        _ if is("G723") => Sound::Longer(5),
        _ if is("AMR") || is("AMR-WB") => Sound::Longer(8),
        _ if is("opus") => Sound::Longer(3),
        _ => Sound::Any,
    };
    Codec {
        name,
        clock_rate,
        sound,
        is_event: is("telephone-event"),
    }
}

/// RFC 3551, table 4.
fn statics(payload_type: u8) -> (CodecName, u32) {
    let (name, clock_rate): (&[u8], u32) = match payload_type {
        0 => (b"PCMU", 8000),
        3 => (b"GSM", 8000),
        4 => (b"G723", 8000),
        5 => (b"DVI4", 8000),
        6 => (b"DVI4", 16_000),
        7 => (b"LPC", 8000),
        8 => (b"PCMA", 8000),
        9 => (b"G722", 8000),
        10 | 11 => (b"L16", 44_100),
        12 => (b"QCELP", 8000),
        COMFORT_NOISE => (b"CN", 8000),
        14 => (b"MPA", 90_000),
        15 => (b"G728", 8000),
        18 => (b"G729", 8000),
        26 | 31 | 32 | 33 | 34 => (b"video", 90_000),
        _ => (b"", 0),
    };
    (CodecName::new(name), clock_rate)
}

impl Sound {
    /// Whether a payload is more than silence. Looks at eight samples: enough for a stream of hundreds of packets, and
    /// no sample is kept.
    pub fn is_in(self, payload: &[u8]) -> bool {
        let step = (payload.len() / 8).max(1);
        let mut samples = payload.iter().step_by(step);
        match self {
            Self::ALaw => samples.any(|sample| (sample ^ 0x55) >> 4 & 7 >= LOUD_EXPONENT),
            Self::MuLaw => samples.any(|sample| !sample >> 4 & 7 >= LOUD_EXPONENT),
            Self::Noise => false,
            Self::Longer(length) => payload.len() > usize::from(length),
            Self::Any => !payload.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_sound_from_silence_by_law() {
        assert!(!Sound::ALaw.is_in(&[0xd5; 160]) && !Sound::ALaw.is_in(&[0x55; 160]));
        assert!(!Sound::MuLaw.is_in(&[0xff; 160]) && !Sound::MuLaw.is_in(&[0x7f; 160]));
        assert!(Sound::ALaw.is_in(&[0x2a; 160]) && Sound::MuLaw.is_in(&[0x00; 160]));
        assert!(!Sound::Longer(9).is_in(&[1; 2]) && Sound::Longer(9).is_in(&[1; 20]));
    }

    #[test]
    fn what_was_announced_goes_before_the_static_table() {
        let codec = PayloadCodec {
            payload_type: 101,
            codec: CodecName::new(b"telephone-event"),
            clock_rate: 8000,
        };
        assert!(of_payload_type(101, &[codec], false).is_event);
        assert_eq!(of_payload_type(18, &[codec], false).name.as_str(), "G729");
        assert_eq!(of_payload_type(101, &[], false).clock_rate, 0);
    }
}
