//! WebSocket frames: every step uses octets that are there, messages stay bounded.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_probe::reassembly::websocket::{MAX_MESSAGE, Step, Websocket};

fuzz_target!(|data: &[u8]| {
    let mut socket = Websocket::default();
    let _ = Websocket::is_frame_of_sip(data);
    let mut rest = data;
    while !rest.is_empty() {
        match socket.step(rest) {
            Step::Message(used) | Step::Frame(used) => rest = &rest[used..],
            Step::Wait | Step::Unreadable => break,
        }
        assert!(socket.message().len() <= 2 * MAX_MESSAGE);
    }
});
