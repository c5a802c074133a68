//! RTCP compounds and RTP headers: no more reports than there are octets for.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_voice_wire::{rtcp, rtp};

fuzz_target!(|data: &[u8]| {
    let mut reports = 0;
    rtcp::parse(data, |_| reports += 1);
    assert!(reports * 4 <= data.len());
    let payload = rtp::payload(data);
    assert!(payload.len() <= data.len());
    let _ = (rtcp::is_rtcp(data), rtp::Header::parse(data), rtp::TelephoneEvent::parse(payload));
});
