//! Scenarios: octets in, octets and events out. Vectors are those of the drafts and of RFC 3403 (see `wire`).
use std::sync::Mutex;

use proptest::prelude::*;
use ringfence_events::EnumEvent;

use super::*;
use crate::Config;
use crate::wire::header::HEADER;

const BARE: &str = "12340100000100000000000101320131013201310135013501350131013801370131027067056c6f63616c000023000100002904c400000000002f00\
04002b7369703a2b3137383138363735333039407373702e6578616d706c652e636f6d3b757365723d70686f6e65";
const VERSIONED: &str = "12340100000100000000000101320131013201310135013501350131013801370131027067056c6f63616c000023000100002904c400000000003200\
04002e00007369703a2b3137383138363735333039407373702e6578616d706c652e636f6d3b757365723d70686f6e6500";
const ALLOWED: &str = "12348500000100010000000101320131013201310135013501350131013801370131027067056c6f63616c0000230001c00c0023000100000000002e\
0064000a0175074532552b7369701e215e282e2a2924217369703a5c3140616c6c6f772e70672e6c6f63616c210000002904d0000000000000";

/// What is asserted about an event.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    source: u64,
    source_class: u8,
    destination: u64,
    origin: u8,
    action: u8,
    reason: u8,
    rule: u32,
    source_raw: String,
    destination_raw: String,
}

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Vec<Seen>>>);

impl EventSink for Memory {
    fn record(&mut self, event: &EnumEvent<'_>) {
        self.0.lock().unwrap().push(Seen {
            source: event.source,
            source_class: event.source_class,
            destination: event.destination,
            origin: event.source_origin,
            action: event.action,
            reason: event.reason,
            rule: event.rule_id,
            source_raw: String::from_utf8_lossy(event.source_raw).into(),
            destination_raw: String::from_utf8_lossy(event.destination_raw).into(),
        });
    }
    fn commit(&mut self) {}
    fn lost(&self) -> u64 {
        0
    }
}

struct Bench {
    pipeline: Pipeline<Memory>,
    policy: Option<Installed>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

const POLICY: &str = r#"{"format": 1, "version": 7, "site": {"country_code": "1", "national_lengths": [10]}, "protected": ["911"],
 "rules": [
  {"id": 1, "name": "premium", "mode": "enforce", "direction": "any", "sources": [], "destinations": ["+1900*"],
   "action": "terminate", "target": null, "schedule": null, "rate": null},
  {"id": 2, "name": "moved", "mode": "enforce", "direction": "any", "sources": ["+17818675309"], "destinations": ["+12105550100"],
   "action": "redirect", "target": "+12105550199", "schedule": null, "rate": null}]}"#;

impl Bench {
    fn new(options: &str, policy: Option<&str>) -> Self {
        let json = format!(
            r#"{{"listen": ["127.0.0.1:0"], "apex": ["pg.local", "e164.internal"]{options}}}"#
        );
        let service = Arc::new(Service::new(&Config::parse(&json).unwrap()).unwrap());
        let policy = policy.map(|text| service.compile(text.as_bytes()).unwrap());
        let memory = Memory::default();
        let seen = Arc::clone(&memory.0);
        Self {
            pipeline: Pipeline::new(service, Arc::default(), memory),
            policy,
            seen,
        }
    }

    fn ask(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = [0; ANSWER_MAX];
        let received = Received {
            time_us: 0,
            instant: Instant::now(),
        };
        let peer = "127.0.0.1:5060".parse().unwrap();
        let length = self.pipeline.process(
            packet,
            peer,
            Transport::Udp,
            received,
            self.policy.as_ref(),
            &mut out,
        );
        out[..length].to_vec()
    }

    fn counter(&self, wanted: &str) -> u64 {
        let sums = Counters::sum([self.pipeline.counters()].into_iter());
        sums.into_iter().find(|(name, _)| name == wanted).unwrap().1
    }
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn query_with(name: &str, qtype: u16, qclass: u16, tail: &[u8], counts: [u16; 4]) -> Vec<u8> {
    let mut packet = vec![0xAB, 0xCD, 0x01, 0x00];
    counts
        .iter()
        .for_each(|count| packet.extend(count.to_be_bytes()));
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend(label.bytes());
    }
    packet.push(0);
    packet.extend(qtype.to_be_bytes());
    packet.extend(qclass.to_be_bytes());
    packet.extend(tail);
    packet
}

fn query(name: &str, qtype: u16) -> Vec<u8> {
    query_with(name, qtype, 1, &[], [1, 0, 0, 0])
}

fn opt(version: u8, options: &[u8]) -> Vec<u8> {
    let length = (options.len() as u16).to_be_bytes();
    [
        &[0, 0, 41, 0x04, 0xD0, 0, version, 0, 0][..],
        &length,
        options,
    ]
    .concat()
}

fn rcode(answer: &[u8]) -> u8 {
    answer[3] & 0xF
}

/// (answers, authorities, additionals)
fn counts(answer: &[u8]) -> (u8, u8, u8) {
    (answer[7], answer[9], answer[11])
}

fn contains(answer: &[u8], text: &str) -> bool {
    answer
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn answers_the_published_vectors_octet_for_octet() {
    for (vector, origin) in [(BARE, 1), (VERSIONED, 2)] {
        let mut bench = Bench::new("", None);
        assert_eq!(bench.ask(&octets(vector)), octets(ALLOWED));
        let seen = bench.seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            (seen[0].source, seen[0].destination, seen[0].origin),
            (17_818_675_309, 17_815_551_212, origin)
        );
        assert_eq!(
            (seen[0].action, seen[0].reason),
            (1, 4),
            "allowed for want of a policy"
        );
        assert_eq!(
            seen[0].source_raw,
            "sip:+17818675309@ssp.example.com;user=phone"
        );
        assert_eq!(seen[0].destination_raw, "17815551212");
    }
}

#[test]
fn source_comes_from_the_query_name_in_both_layouts() {
    let mut bench = Bench::new("", Some(POLICY));
    for name in [
        "0.0.1.0.5.5.5.0.1.2.1.src.9.0.3.5.7.6.8.1.8.7.1.pg.local",
        "0.0.1.0.5.5.5.0.1.2.1.s17818675309.e164.internal",
        "0.0.1.0.5.5.5.0.1.2.1.S17818675309.E164.INTERNAL",
    ] {
        let answer = bench.ask(&query(name, 35));
        assert!(
            contains(&answer, "!^.*$!sip:+12105550199@redirect."),
            "{name}"
        );
    }
    assert!(
        bench
            .seen
            .lock()
            .unwrap()
            .iter()
            .all(|seen| (seen.origin, seen.rule, seen.action) == (3, 2, 3))
    );
    let without = bench.ask(&query("0.0.1.0.5.5.5.0.1.2.1.pg.local", 35));
    assert!(
        contains(&without, "@allow.pg.local!"),
        "another caller is not redirected"
    );
}

#[test]
fn the_trunk_stays_in_the_event_however_long_the_uri_is() {
    let mut bench = Bench::new("", Some(POLICY));
    let filler = "f".repeat(400);
    let uri = format!(
        "sip:+17818675309;x={filler};tgrp=tg1;trunk-context=ssp.example.com;rn=+12105550000;cic=+16789@orig.example.com"
    );
    let option = [
        &[0, 4, (uri.len() >> 8) as u8, uri.len() as u8],
        uri.as_bytes(),
    ]
    .concat();
    let name = "0.0.1.0.5.5.5.0.1.2.1.pg.local";
    let answer = bench.ask(&query_with(name, 35, 1, &opt(0, &option), [1, 0, 0, 1]));
    assert!(contains(&answer, "@redirect.pg.local!"));
    let seen = bench.seen.lock().unwrap().pop().unwrap();
    assert_eq!(
        seen.source_raw,
        "sip:+17818675309;tgrp=tg1;trunk-context=ssp.example.com;rn=+12105550000;cic=+16789@orig.example.com"
    );
}

#[test]
fn a_configured_layout_replaces_the_usual_ones() {
    let options = r#", "query_names": ["d{destination}-s{source}", "{source:reversed}.from"]"#;
    let mut bench = Bench::new(options, Some(POLICY));
    let redirected = bench.ask(&query("d12105550100-s17818675309.pg.local", 35));
    assert!(contains(&redirected, "!^.*$!sip:+12105550199@redirect."));
    let caller_only = bench.ask(&query("9.0.3.5.7.6.8.1.8.7.1.from.pg.local", 35));
    assert!(contains(&caller_only, "@allow.pg.local!"));
    let seen = bench.seen.lock().unwrap().pop().unwrap();
    assert_eq!(
        (seen.source, seen.destination, &*seen.destination_raw),
        (17_818_675_309, 0, "")
    );
    let usual = bench.ask(&query("0.0.1.0.5.5.5.0.1.2.1.pg.local", 35));
    assert_eq!((rcode(&usual), counts(&usual)), (0, (0, 1, 0)));
    let health = bench.ask(&query("health.pg.local", 35));
    assert!(contains(&health, "@allow.pg.local!"));
}

#[test]
fn a_withheld_caller_in_the_name_is_anonymous_or_absent() {
    let mut bench = Bench::new("", Some(POLICY));
    for (label, class) in [("sanonymous", 3), ("s", 0)] {
        let name = format!("0.0.1.0.5.5.5.0.1.2.1.{label}.pg.local");
        assert!(contains(&bench.ask(&query(&name, 35)), "@allow.pg.local!"));
        let seen = bench.seen.lock().unwrap().pop().unwrap();
        assert_eq!(
            (seen.source_class, seen.destination),
            (class, 12_105_550_100)
        );
    }
}

#[test]
fn the_first_option_that_holds_a_uri_counts_and_others_are_left_alone() {
    let option = |code: u16, data: &[u8]| {
        [
            &code.to_be_bytes()[..],
            &(data.len() as u16).to_be_bytes(),
            data,
        ]
        .concat()
    };
    let options = [
        option(10, b"cookie12"),
        option(9999, b"sip:+19995550000@x"),
        option(4, &[0, 0, 2, 0x42, 0xac, 0x11, 0, 2]),
        option(65_001, b"tel:+17818675309"),
        option(4, b"sip:+19995550001@x"),
    ]
    .concat();
    let mut bench = Bench::new("", Some(POLICY));
    let packet = query_with(
        "0.0.1.0.5.5.5.0.1.2.1.pg.local",
        35,
        1,
        &opt(0, &options),
        [1, 0, 0, 1],
    );
    assert!(contains(&bench.ask(&packet), "redirect.pg.local"));
    assert_eq!(
        bench.counter("options_unknown"),
        2,
        "9999 and the owner option"
    );
    let mut none = Bench::new(r#", "source_option_codes": []"#, Some(POLICY));
    assert!(contains(&none.ask(&packet), "allow.pg.local"));
}

#[test]
fn an_emergency_number_is_allowed_and_terminated_ones_are_not() {
    let mut bench = Bench::new(r#", "fail_mode": "terminate""#, Some(POLICY));
    assert!(contains(
        &bench.ask(&query("1.1.9.pg.local", 35)),
        "allow.pg.local"
    ));
    assert!(contains(
        &bench.ask(&query("0.0.1.0.5.5.5.0.0.9.1.pg.local", 35)),
        "terminate.pg.local"
    ));
    bench.policy = None;
    assert!(contains(
        &bench.ask(&query("0.0.1.0.5.5.5.0.1.2.1.pg.local", 35)),
        "terminate.pg.local"
    ));
    assert_eq!((bench.counter("allow"), bench.counter("terminate")), (1, 2));
}

#[test]
fn no_opinion_is_nodata_that_nobody_caches() {
    let mut bench = Bench::new(r#", "fail_mode": "none""#, None);
    let answer = bench.ask(&query("3.2.1.0.5.5.5.0.1.2.1.pg.local", 35));
    assert_eq!((rcode(&answer), counts(&answer)), (0, (0, 1, 0)));
    assert_eq!(answer[2] & 0x04, 0x04, "AA");
    assert_eq!(answer[answer.len() - 4..], [0; 4], "RFC 2308: MINIMUM 0");
    assert_eq!(bench.seen.lock().unwrap()[0].action, 0);
}

#[test]
fn names_that_are_no_number_are_nodata_and_recorded() {
    let mut bench = Bench::new("", Some(POLICY));
    for name in [
        "alice.pg.local",
        "55.pg.local",
        "src.1.2.pg.local",
        "s123.pg.local",
        "1.x.2.pg.local",
        "1.s12a.pg.local",
    ] {
        let answer = bench.ask(&query(name, 35));
        assert_eq!((rcode(&answer), counts(&answer)), (0, (0, 1, 0)), "{name}");
        let seen = bench.seen.lock().unwrap().pop().unwrap();
        assert_eq!((seen.reason, seen.action), (6, 0));
        assert_eq!(seen.destination_raw, name.trim_end_matches(".pg.local"));
    }
}

#[test]
fn the_apex_answers_soa_and_ns_and_health_is_allowed_without_an_event() {
    let mut bench = Bench::new("", Some(POLICY));
    for (name, qtype, answers) in [
        ("pg.local", 6, 1),
        ("pg.local", 2, 1),
        ("pg.local", 35, 0),
        ("pg.local", 255, 1),
        ("e164.internal", 6, 1),
    ] {
        let answer = bench.ask(&query(name, qtype));
        assert_eq!(
            (rcode(&answer), counts(&answer).0),
            (0, answers),
            "{name} {qtype}"
        );
    }
    let health = bench.ask(&query("Health.pg.local", 35));
    assert!(
        contains(&health, "allow.pg.local") && contains(&health, "Health"),
        "case is kept"
    );
    assert_eq!(counts(&bench.ask(&query("health.pg.local", 1))), (0, 1, 0));
    assert_eq!(bench.counter("health_checks"), 1);
    assert!(bench.seen.lock().unwrap().is_empty());
}

#[test]
fn other_types_classes_and_zones() {
    let mut bench = Bench::new("", Some(POLICY));
    let number = "3.2.1.0.5.5.5.0.1.2.1.pg.local";
    for qtype in [1, 28, 16] {
        assert_eq!(
            counts(&bench.ask(&query(number, qtype))),
            (0, 1, 0),
            "RFC 2308: NODATA for type {qtype}"
        );
    }
    assert!(
        contains(&bench.ask(&query(number, 255)), "RFC8482"),
        "RFC 8482"
    );
    for packet in [
        query(number, 252),
        query(number, 251),
        query("example.com", 35),
        query("xpg.local", 35),
        query("local", 35),
        query(".", 35),
        query_with("version.bind", 16, 3, &[], [1, 0, 0, 0]),
        query_with(number, 35, 3, &[], [1, 0, 0, 0]),
    ] {
        let answer = bench.ask(&packet);
        assert_eq!(
            (rcode(&answer), answer[2] & 0x04, counts(&answer)),
            (5, 0, (0, 0, 0))
        );
    }
    let refused = bench.ask(&query_with(
        "example.com",
        35,
        1,
        &opt(0, &[]),
        [1, 0, 0, 1],
    ));
    assert_eq!(
        refused[refused.len() - 6..],
        [0, 15, 0, 2, 0, 20],
        "RFC 8914: not authoritative"
    );
    assert!(bench.seen.lock().unwrap().is_empty());
}

#[test]
fn a_label_that_holds_the_apex_text_is_not_the_apex() {
    // One label "x\x02pg\x05local": its end looks like the apex.
    let mut packet = vec![0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend(b"\x0ax\x02pg\x05local\0\0\x23\0\x01");
    assert_eq!(rcode(&Bench::new("", None).ask(&packet)), 5);
}

#[test]
fn header_and_edns_rules() {
    let mut bench = Bench::new("", Some(POLICY));
    let number = "3.2.1.0.5.5.5.0.1.2.1.pg.local";
    let mut response = query(number, 35);
    response[2] |= 0x80;
    assert_eq!(
        bench.ask(&response),
        b"",
        "RFC 1035: a response is not answered"
    );
    assert_eq!(bench.ask(&[0; HEADER - 1]), b"");
    assert_eq!(
        (
            bench.counter("dropped_not_query"),
            bench.counter("dropped_malformed")
        ),
        (1, 1)
    );
    for (opcode, expected) in [(1, 4), (2, 4), (4, 4), (5, 4)] {
        let mut packet = query(number, 35);
        packet[2] = opcode << 3;
        let answer = bench.ask(&packet);
        assert_eq!(
            (rcode(&answer), answer[2] >> 3 & 0xF),
            (expected, opcode),
            "opcode copied"
        );
    }
    let two_opts = [opt(0, &[]), opt(0, &[])].concat();
    for (what, packet) in [
        (
            "RFC 9619: two questions",
            query_with(number, 35, 1, &[], [2, 0, 0, 0]),
        ),
        ("no question", query_with(number, 35, 1, &[], [0, 0, 0, 0])),
        (
            "RFC 6891: two OPT",
            query_with(number, 35, 1, &two_opts, [1, 0, 0, 2]),
        ),
        (
            "OPT among the answers",
            query_with(number, 35, 1, &opt(0, &[]), [1, 1, 0, 0]),
        ),
        (
            "an option longer than its record",
            query_with(number, 35, 1, &opt(0, &[0, 4, 0, 9, 1]), [1, 0, 0, 1]),
        ),
        (
            "a record that is not there",
            query_with(number, 35, 1, &[], [1, 0, 0, 1]),
        ),
        ("OPT asked for", query(number, 41)),
    ] {
        assert_eq!(rcode(&bench.ask(&packet)), 1, "{what}");
    }
    let mut looped = vec![
        0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 0x0C, 0, 35, 0, 1,
    ];
    assert_eq!(
        rcode(&bench.ask(&looped)),
        1,
        "a question that points at itself"
    );
    looped[11] = 1;
    assert_eq!(rcode(&bench.ask(&looped)), 1);
    let badvers = bench.ask(&query_with(number, 35, 1, &opt(1, &[]), [1, 0, 0, 1]));
    assert_eq!((rcode(&badvers), counts(&badvers)), (0, (0, 0, 1)));
    assert_eq!(
        badvers[badvers.len() - 6..],
        [1, 0, 0, 0, 0, 0],
        "RFC 6891: BADVERS with our version 0"
    );
    assert_eq!(bench.counter("rcode_16"), 1);
    let plain = bench.ask(&query(number, 35));
    assert_eq!(
        (counts(&plain), plain[2], plain[3]),
        ((1, 0, 0), 0x85, 0),
        "no OPT unasked; AA, RD copied; RA 0"
    );
    let mut dnssec = opt(0, &[]);
    dnssec[7] = 0x80;
    let answer = bench.ask(&query_with(number, 35, 1, &dnssec, [1, 0, 0, 1]));
    assert_eq!(answer[answer.len() - 4], 0x80, "RFC 3225: DO copied");
    assert!(bench.seen.lock().unwrap().len() == 2);
}

#[test]
fn an_answer_that_does_not_fit_is_marked_as_cut() {
    let answers = format!(
        r#""answers": {{"allow": "!^(.*)$!sip:\\1@{}!"}}, "rules""#,
        "h".repeat(230)
    );
    let apex = format!("{}.{}", "a".repeat(60), "b".repeat(50));
    let json = format!(r#"{{"listen": ["127.0.0.1:0"], "apex": ["{apex}"]}}"#);
    let service = Arc::new(Service::new(&Config::parse(&json).unwrap()).unwrap());
    let policy = service
        .compile(POLICY.replace(r#""rules""#, &answers).as_bytes())
        .unwrap();
    let pipeline = Pipeline::new(service, Arc::default(), Memory::default());
    let mut bench = Bench {
        pipeline,
        policy: Some(policy),
        seen: Arc::default(),
    };
    let name = format!("{}src.{}{apex}", "1.".repeat(32), "1.".repeat(32));
    let cut = bench.ask(&query(&name, 35));
    assert!(cut.len() <= 512);
    assert_eq!(
        (counts(&cut), cut[2] & 0x02),
        ((0, 0, 0), 0x02),
        "RFC 2181, 9: TC and no half a record"
    );
    let whole = bench.ask(&query_with(&name, 35, 1, &opt(0, &[]), [1, 0, 0, 1]));
    assert_eq!((counts(&whole), whole[2] & 0x02), ((1, 0, 1), 0));
    assert_eq!(bench.counter("truncated"), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_octets_are_answered_or_dropped_and_never_kill(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut bench = Bench::new("", Some(POLICY));
        let answer = bench.ask(&packet);
        prop_assert!(answer.is_empty() || (answer[..2] == packet[..2] && answer[2] & 0x80 != 0));
    }

    #[test]
    fn a_vector_with_changed_octets_is_answered_well_formed(changes in prop::collection::vec((0..109usize, any::<u8>()), 0..6), cut in 0..110usize) {
        let mut packet = octets(VERSIONED);
        changes.iter().for_each(|&(at, octet)| packet[at] = octet);
        packet.truncate(cut);
        let answer = Bench::new("", Some(POLICY)).ask(&packet);
        prop_assert!(answer.len() <= 1232);
        if !answer.is_empty() {
            prop_assert!(answer.len() >= HEADER && answer[..2] == packet[..2]);
        }
    }
}
