//! Any octets as a SIP message, as a stream of messages, and as what a tap shows of calls.
#![no_main]
use core::net::{Ipv4Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use ringfence_probe::dialogs::{Arrival, Dialogs, DialogsConfig, Sink};
use ringfence_probe::record::{CallRecord, Transport};
use ringfence_voice_wire::sip::{
    Address, CSeq, Header, Message, Reason, Via, check, frame, list, mask,
};

struct Count(u64);

impl Sink for Count {
    fn call(&mut self, record: &mut CallRecord<'_>) {
        self.0 += 1;
        serde_json::to_string(record).expect("a record is JSON");
    }
}

fuzz_target!(|octets: &[u8]| {
    let strict = check(octets).is_ok();
    if let Ok(message) = Message::parse(octets) {
        read_all(&message);
    } else {
        assert!(!strict, "what cannot be read is not valid");
    }
    let mut masked = octets.to_vec();
    mask(&mut masked);
    let once = masked.clone();
    mask(&mut masked);
    assert_eq!(
        (once.len(), &once),
        (octets.len(), &masked),
        "masking twice is masking once"
    );

    let mut dialogs = Dialogs::new(
        DialogsConfig {
            calls_max: 3,
            ..DialogsConfig::default()
        },
        [1, 2],
    );
    let mut sink = Count(0);
    let mut rest = octets;
    let mut time_us = 0;
    while !rest.is_empty() {
        let found = frame(rest);
        assert!(found.skip <= rest.len() && found.length.is_none_or(|length| length > 0));
        rest = &rest[found.skip..];
        let Some(length) = found.length else { break };
        feed(&mut dialogs, time_us, &rest[..length], &mut sink);
        rest = &rest[length..];
        time_us += 400_000;
    }
    feed(&mut dialogs, time_us, rest, &mut sink);
    let live = dialogs.in_progress().count();
    assert!(live <= dialogs.held() && dialogs.held() <= 3);
    dialogs.finish(&mut sink);
    let counters = dialogs.counters();
    assert_eq!(sink.0, counters.records);
    assert!(
        counters.records + counters.dropped_unanswered <= counters.calls
            && dialogs.concurrent() == 0
    );
});

fn feed(dialogs: &mut Dialogs, time_us: i64, message: &[u8], sink: &mut Count) {
    let socket = |last| SocketAddr::new(Ipv4Addr::new(192, 0, 2, last).into(), 5060);
    let is_response = message.trim_ascii_start().starts_with(b"SIP/");
    let arrival = Arrival {
        time_us,
        source: socket(1 + u8::from(is_response)),
        destination: socket(2 - u8::from(is_response)),
        transport: Transport::Udp,
        vlan: 0,
        is_truncated: message.len() % 7 == 0,
    };
    dialogs.message(&arrival, message, sink);
}

fn read_all(message: &Message<'_>) {
    assert!(message.body().len() <= message.octets().len());
    for (name, value) in message.fields() {
        let header = Header::of_name(name);
        let _ = (
            CSeq::parse(value),
            Via::parse(value),
            Reason::list(value).count(),
        );
        for item in list(value) {
            if let Some(address) = Address::parse(item) {
                let _ = (address.tag(), address.uri());
            }
        }
        if let Some(header) = header {
            assert!(message.all(header).count() >= 1 || message.get(header).is_none());
        }
    }
}
