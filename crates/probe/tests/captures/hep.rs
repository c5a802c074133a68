//! HEP over real sockets: every version and packing becomes the same call; who may not send is turned away.

use ringfence_captures::script::{Call, Style, sides};
use ringfence_probe::engine::{LiveConfig, LiveProbe, Output};
use ringfence_probe::record::CallRecord;
use ringfence_voice_wire::hep::{self, Packet, Payload};
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(String, u16)>>>);

impl Output for Calls {
    fn call(&mut self, record: &CallRecord<'_>) {
        self.0
            .lock()
            .unwrap()
            .push((record.call_id.to_string(), record.status));
    }
}

fn start(key: Option<&str>) -> (LiveProbe<Calls>, Calls, SocketAddr) {
    let calls = Calls::default();
    let config = serde_json::json!({ "hep": [{ "listen": "127.0.0.1:0", "key": key }] });
    let config: LiveConfig = serde_json::from_value(config).unwrap();
    let probe = LiveProbe::start(&config, calls.clone()).unwrap();
    let address = probe.hep_addresses()[0];
    (probe, calls, address)
}

fn wait_until(
    probe: &LiveProbe<Calls>,
    is_reached: impl Fn(&ringfence_probe::engine::LiveStatistics) -> bool,
) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_reached(&probe.statistics()) {
        assert!(Instant::now() < deadline, "{:?}", probe.statistics());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The usual call's messages as HEP packets, payloads packed by `pack`.
fn packets(name: &str, pack: impl Fn(&[u8], &mut Vec<u8>)) -> Vec<Vec<u8>> {
    let now_us = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros() as i64;
    let call = Call::new(format!("{name}@hep"), 1, now_us * 1000, Style::default());
    let ends = sides(5060, false);
    let each = call.usual().into_iter().map(|line| {
        let (source, destination) = if line.is_forward {
            ends
        } else {
            (ends.1, ends.0)
        };
        let mut packed = Vec::new();
        pack(&line.text, &mut packed);
        let payload = if packed.is_empty() {
            Payload::Plain(&line.text)
        } else {
            Payload::Compressed(&packed)
        };
        let mut out = Vec::new();
        let packet = Packet {
            source,
            destination,
            protocol: 17,
            time_us: Some(now_us + line.at_ns / 1000),
            kind: hep::kind::SIP,
            capture_id: 2001,
            key: b"open sesame",
            correlation_id: b"",
            vlan: 0,
            payload,
        };
        hep::write(&packet, &mut out);
        out
    });
    each.collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

/// Version 1 or 2 by hand, the times of version 2 in either byte order.
fn fixed(version: u8, is_little: bool, message: &[u8], is_forward: bool) -> Vec<u8> {
    let ends = ([10, 20, 0, 5], [203, 0, 113, 20]);
    let (source, destination) = if is_forward { ends } else { (ends.1, ends.0) };
    let mut out = vec![
        version,
        if version == 2 { 28 } else { 16 },
        2,
        17,
        0x13,
        0xc4,
        0x13,
        0xc4,
    ];
    out.extend(source);
    out.extend(destination);
    if version == 2 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        for value in [now.as_secs() as u32, now.subsec_micros()] {
            out.extend(if is_little {
                value.to_le_bytes()
            } else {
                value.to_be_bytes()
            });
        }
        out.extend([0, 7, 0, 0]);
    }
    out.extend(message);
    out
}

#[test]
fn every_version_and_packing_over_udp_and_tcp_becomes_a_call() {
    let (mut probe, calls, address) = start(None);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = 0;
    let mut send = |datagrams: Vec<Vec<u8>>| {
        for datagram in datagrams {
            socket.send_to(&datagram, address).unwrap();
            sent += 1;
        }
    };
    send(packets("plain", |_, _| {}));
    send(
        packets("whole-gzip", |_, _| {})
            .iter()
            .map(|octets| gzip(octets))
            .collect(),
    );
    send(packets("chunk-gzip", |text, out| *out = gzip(text)));
    send(packets("chunk-zlib", |text, out| *out = zlib(text)));
    for (name, version, is_little) in [
        ("version-1", 1, false),
        ("version-2", 2, false),
        ("version-2-little", 2, true),
    ] {
        let call = Call::new(format!("{name}@hep"), 1, 0, Style::default());
        send(
            call.usual()
                .iter()
                .map(|line| fixed(version, is_little, &line.text, line.is_forward))
                .collect(),
        );
    }
    wait_until(&probe, |seen| seen.hep[0].1.packets == sent);
    // Over TCP in pieces that cut packets anywhere.
    let stream = packets("tcp", |_, _| {}).concat();
    let mut peer = TcpStream::connect(address).unwrap();
    for piece in stream.chunks(333) {
        peer.write_all(piece).unwrap();
    }
    wait_until(&probe, |seen| {
        seen.hep[0].1.packets == sent + 7 && seen.engine.dialogs.messages == sent + 7
    });
    probe.stop();
    let mut seen = calls.0.lock().unwrap().clone();
    seen.sort();
    let names = [
        "chunk-gzip",
        "chunk-zlib",
        "plain",
        "tcp",
        "version-1",
        "version-2-little",
        "version-2",
        "whole-gzip",
    ];
    assert_eq!(seen, names.map(|name| (format!("{name}@hep"), 200)));
}

#[test]
fn a_wrong_key_a_bomb_and_noise_are_counted_and_make_nothing() {
    let (mut probe, calls, address) = start(Some("another key"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for packet in packets("wrong-key", |_, _| {}) {
        socket.send_to(&packet, address).unwrap();
    }
    let bomb = gzip(&vec![0; 8 << 20]);
    assert!(bomb.len() < 60_000);
    for noise in [
        &bomb[..],
        b"HEP3\0\x04",
        b"HEP3\xff\xff",
        b"",
        b"GET / HTTP/1.1\r\n",
    ] {
        socket.send_to(noise, address).unwrap();
    }
    wait_until(&probe, |seen| {
        seen.hep[0].1.refused == 7 && seen.hep[0].1.malformed == 5
    });
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(b"this is no HEP at all").unwrap();
    wait_until(&probe, |seen| seen.hep[0].1.malformed == 6);
    probe.stop();
    assert!(calls.0.lock().unwrap().is_empty());
}
