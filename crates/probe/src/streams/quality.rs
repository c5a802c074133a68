//! MOS by the E-model: ITU-T G.107 with the equipment impairments of G.113, Appendix I.
//!
//! R = 93.2 − Ie,eff (default values of G.107 for everything that a tap can't hear: noise, echo, delay). What is not in
//! G.113 is taken from its closest relative there, named in the table. Concealment is not assumed for G.711: endpoints
//! differ, so the figure is what the network alone allows.

/// How a codec stands loss.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Impairment {
    /// Equipment impairment without loss, Ie.
    pub base: f32,
    /// Packet-loss robustness, Bpl.
    pub robustness: f32,
}

/// Default R without any impairment (G.107, 7.7).
const R_DEFAULT: f32 = 93.2;

/// Impairment of a codec by the name that SDP gives it.
#[must_use]
pub fn impairment(codec: &str) -> Impairment {
    let name = codec.as_bytes();
    let table: [(&[u8], f32, f32); 17] = [
        (b"PCMU", 0.0, 4.3),
        (b"PCMA", 0.0, 4.3),
        (b"L16", 0.0, 4.3),
        (b"G729", 11.0, 19.0), // G.729A with VAD
        (b"G723", 15.0, 16.1), // G.723.1 at 6.3 kbit/s
        (b"GSM-EFR", 5.0, 10.0),
        (b"GSM", 20.0, 43.0),
        (b"G726-16", 50.0, 4.3),
        (b"G726-24", 25.0, 4.3),
        (b"G726-32", 7.0, 4.3),
        (b"G726-40", 2.0, 4.3),
        (b"G728", 7.0, 17.0),
        (b"iLBC", 11.0, 32.0),  // at 15.2 kbit/s
        (b"AMR-WB", 0.0, 13.0), // 12.65 kbit/s and up, on the narrow-band scale
        (b"AMR", 5.0, 10.0),    // 12.2 kbit/s
        (b"G722", 0.0, 4.3),
        (b"opus", 0.0, 10.0), // no ITU value: robust like AMR, transparent without loss
    ];
    let known = table.iter().find(|(prefix, ..)| {
        name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix)
    });
    known.map_or(
        Impairment {
            base: 0.0,
            robustness: 4.3,
        },
        |(_, base, robustness)| Impairment {
            base: *base,
            robustness: *robustness,
        },
    )
}

/// MOS of a stream with `lost` of `expected` packets lost at random; 0 when none was expected.
#[must_use]
pub fn mos(codec: &str, lost: u32, expected: u32) -> f32 {
    if expected == 0 {
        return 0.0;
    }
    let Impairment { base, robustness } = impairment(codec);
    let loss = 100.0 * lost as f32 / expected as f32;
    let effective = base + (95.0 - base) * loss / (loss + robustness);
    from_r(R_DEFAULT - effective)
}

/// G.107, Annex B.
#[must_use]
pub fn from_r(r: f32) -> f32 {
    match r {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_values_that_g_107_and_g_113_give() {
        assert!((mos("PCMA", 0, 1500) - 4.41).abs() < 0.005);
        assert!((mos("G729", 0, 1500) - 4.10).abs() < 0.03);
        assert!((mos("PCMU", 15, 1500) - 3.82).abs() < 0.2);
        assert!((from_r(50.0) - 2.58).abs() < 0.01);
        assert_eq!(mos("PCMA", 0, 0), 0.0);
    }

    #[test]
    fn falls_with_loss_for_every_codec() {
        for codec in [
            "PCMA", "PCMU", "G729", "G722", "opus", "AMR", "AMR-WB", "iLBC", "GSM", "speex",
        ] {
            let values: Vec<f32> = (0..20).map(|lost| mos(codec, lost, 100)).collect();
            assert!(
                values.windows(2).all(|pair| pair[1] < pair[0]),
                "{codec} {values:?}"
            );
        }
    }
}
