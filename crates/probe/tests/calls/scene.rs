//! A conversation as a script.
//!
//! One line a message: `time_ms FROM>TO start cseq [METHOD] [name=value …] [| Header: value …]`. Letters are hosts; `start`
//! is a method or a status, with `~` in front when the called side began the transaction. `to=` and `from=` are tags
//! (`from` is `f` if not said), `id=` the Call-ID, `sdp=A:4000` a description of audio at host A, port 4000.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ringfence_probe::dialogs::{Arrival, Dialogs, DialogsConfig, MediaAnnounced, Sink};
use ringfence_probe::record::{CallKey, CallRecord, Transport};
use serde_json::Value;

pub const START_US: i64 = 1_795_000_000_000_000;

/// What came out.
#[derive(Default)]
pub struct Out {
    pub calls: Vec<Value>,
    pub media: Vec<String>,
    pub ended: Vec<CallKey>,
    pub messages: usize,
}

impl Sink for Out {
    fn call(&mut self, record: &mut CallRecord<'_>) {
        self.calls.push(serde_json::to_value(*record).unwrap());
    }

    fn media_announced(&mut self, media: &MediaAnnounced<'_>) {
        let codecs: Vec<_> = media
            .codecs
            .iter()
            .map(|codec| codec.codec.as_str())
            .collect();
        self.media.push(format!(
            "{:?} {}:{} {}",
            media.receiver,
            media.address,
            media.port,
            codecs.join(",")
        ));
    }

    fn media_ended(&mut self, call: CallKey, _time_us: i64) {
        self.ended.push(call);
    }

    fn dropped(&mut self, call: CallKey) {
        self.ended.push(call);
    }

    fn message(&mut self, _call: CallKey, _arrival: &Arrival, _message: &[u8]) {
        self.messages += 1;
    }
}

pub fn host(letter: &str) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, letter.as_bytes()[0]))
}

/// One line of a script as arrival and octets.
pub fn line(text: &str) -> (Arrival, Vec<u8>) {
    let mut parts = text.split('|').map(str::trim);
    let mut words = parts.next().unwrap().split_whitespace();
    let time_ms: f64 = words.next().unwrap().parse().unwrap();
    let (source, destination) = words.next().unwrap().split_once('>').unwrap();
    let start = words.next().unwrap();
    let cseq = words.next().unwrap();
    let (is_reverse, start) = match start.strip_prefix('~') {
        Some(start) => (true, start),
        None => (false, start),
    };
    let is_response = start.as_bytes()[0].is_ascii_digit();
    let mut method = if is_response { "INVITE" } else { start };
    let (mut id, mut from, mut to, mut sdp) = ("id@a", "f", "", None);
    for word in words {
        match word.split_once('=') {
            Some(("id", value)) => id = value,
            Some(("from", value)) => from = value,
            Some(("to", value)) => to = value,
            Some(("sdp", value)) => sdp = value.split_once(':'),
            Some(other) => panic!("no such word: {other:?}"),
            None => method = word,
        }
    }
    let tag = |tag: &str| {
        if tag.is_empty() {
            String::new()
        } else {
            format!(";tag={tag}")
        }
    };
    let caller = format!("<sip:+34600000001@a.example>{}", tag(from));
    let called = format!("<sip:+4930000002@b.example>{}", tag(to));
    let (from, to) = if is_reverse {
        (called, caller)
    } else {
        (caller, called)
    };
    let first = if is_response {
        format!("SIP/2.0 {start} Reason")
    } else {
        format!("{start} sip:+4930000002@b.example SIP/2.0")
    };
    let headers: String = parts.map(|header| format!("{header}\r\n")).collect();
    let body = sdp.map_or(String::new(), |(at, port)| {
        let (at, direction) = at.split_once('/').unwrap_or((at, "sendrecv"));
        format!(
            "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n",
            host(at)
        )
    });
    let kind = if sdp.is_some() {
        "Content-Type: application/sdp\r\n"
    } else {
        ""
    };
    let via = if is_response { destination } else { source };
    let message = format!(
        "{first}\r\nVia: SIP/2.0/UDP {via}:5060;branch=z9hG4bK{cseq}{via}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n{headers}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let arrival = Arrival {
        time_us: START_US + (time_ms * 1000.0) as i64,
        source: SocketAddr::new(host(source), 5060),
        destination: SocketAddr::new(host(destination), 5060),
        transport: Transport::Udp,
        vlan: 0,
        is_truncated: false,
    };
    (arrival, message.into_bytes())
}

/// Plays a script to its end.
pub fn play(script: &str) -> (Out, Dialogs) {
    let mut dialogs = Dialogs::new(DialogsConfig::default(), [1, 2]);
    let mut out = Out::default();
    for text in script
        .lines()
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let (arrival, message) = line(text);
        dialogs.message(&arrival, &message, &mut out);
    }
    (out, dialogs)
}

/// Plays a script and closes the table: the records.
pub fn records(script: &str) -> Vec<Value> {
    let (mut out, mut dialogs) = play(script);
    dialogs.finish(&mut out);
    out.calls
}

/// The one record of a script.
pub fn record(script: &str) -> Value {
    let mut all = records(script);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// Milliseconds since the start of the script, of a time in a record; `None` when it has none.
pub fn ms(record: &Value, time: &str) -> Option<f64> {
    record["times"][time]
        .as_i64()
        .map(|time| (time - START_US) as f64 / 1000.0)
}

pub fn has_flag(record: &Value, flag: &str) -> bool {
    record["flags"]
        .as_array()
        .unwrap()
        .iter()
        .any(|set| set == flag)
}
