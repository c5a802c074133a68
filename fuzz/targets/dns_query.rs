//! Any octets as a DNS message: parsed, decided and answered, over UDP and TCP, with a policy and without.
#![no_main]
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use ringfence_enum_server::wire::response::ANSWER_MAX;
use ringfence_enum_server::{
    Config, Counters, Installed, NoJournal, Pipeline, Received, Service, Transport,
};

const CONFIGURATION: &str =
    r#"{"listen": ["127.0.0.1:0"], "apex": ["pg.local", "e164.internal"], "query_names": ["{destination:reversed}",
 "{destination:reversed}.src.{source:reversed}", "{destination:reversed}.s{source}", "d{destination}-s{source}", "*.{source:reversed}.from"], "allow_from": ["192.0.2.0/24"]}"#;
const POLICY: &str = r#"{"format": 1, "version": 7, "site": {"country_code": "1", "national_lengths": [10]}, "protected": ["911"],
 "profiles": {"odd": {"allow": "!^.*$!sip:{destination}@{host};from={source};rule={rule}!", "no_opinion": "allow"}},
 "clients": [{"network": "192.0.2.128/25", "profile": "odd", "name": "edge"}],
 "rules": [
  {"id": 1, "name": "premium", "mode": "enforce", "direction": "any", "sources": [], "destinations": ["+1900*"],
   "action": "terminate", "target": null, "schedule": null, "rate": {"limit": 5, "window_s": 1, "key": "pair"}},
  {"id": 2, "name": "moved", "mode": "enforce", "direction": "any", "sources": ["+1781*", "class:anonymous"],
   "destinations": ["+1210555????"], "action": "redirect", "target": "+12105550199", "schedule": null, "rate": null}]}"#;

struct Bench {
    pipeline: Pipeline<NoJournal>,
    policy: Installed,
}

fn bench() -> &'static Mutex<Bench> {
    static BENCH: OnceLock<Mutex<Bench>> = OnceLock::new();
    BENCH.get_or_init(|| {
        let config = Config::parse(CONFIGURATION).expect("configuration");
        let service = Arc::new(Service::new(&config).expect("service"));
        let policy = service.compile(POLICY.as_bytes()).expect("policy");
        let pipeline = Pipeline::new(service, Arc::new(Counters::default()), NoJournal);
        Mutex::new(Bench { pipeline, policy })
    })
}

fuzz_target!(|packet: &[u8]| {
    let mut bench = bench().lock().expect("one thread");
    let Bench { pipeline, policy } = &mut *bench;
    let received = Received {
        time_us: 1_700_000_000_000_000,
        instant: Instant::now(),
    };
    for (peer, transport, policy) in [
        ("192.0.2.1:5060", Transport::Udp, Some(&*policy)),
        ("192.0.2.200:5060", Transport::Tcp, Some(&*policy)),
        ("[::1]:5060", Transport::Udp, None),
    ] {
        let mut out = [0; ANSWER_MAX];
        let peer = peer.parse().expect("address");
        let length = pipeline.process(packet, peer, transport, received, policy, &mut out);
        if length > 0 {
            assert!(length >= 12, "an answer has a header");
            assert_eq!(out[..2], packet[..2], "and the query's id");
            assert_ne!(out[2] & 0x80, 0, "and says that it is one");
            if transport == Transport::Udp {
                assert!(length <= 1232);
            }
        }
    }
});
