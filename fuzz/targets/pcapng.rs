//! Capture files of both formats: frames come out, or the damage is told; the reading ends.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_probe::source::Capture;

fuzz_target!(|data: &[u8]| {
    for head in [&[][..], &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a], &[0xd4, 0xc3, 0xb2, 0xa1]] {
        let input = [head, data].concat();
        let length = input.len() as u64;
        let Ok(mut capture) = Capture::open(std::io::Cursor::new(input)) else { continue };
        let mut octets = 0;
        while capture.read(&mut |frame| octets += frame.data.len() as u64).unwrap() {}
        assert!(octets <= length);
    }
});
