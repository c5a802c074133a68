//! Streams of calls, against a plain count of the same packets; and what media does beside: SSRC changes, one way, silence,
//! keys, fax.

use ringfence_captures::pcap::{ETHERNET, Shot, to_vec};
use ringfence_captures::script::{Call, MS, S, Style};
use ringfence_captures::{media, wire};
use ringfence_probe::engine::{EngineConfig, Output, Progress, read_capture};
use ringfence_probe::record::{CallFlags, CallRecord, MediaSummary};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(Default)]
struct Media {
    calls: HashMap<String, [MediaSummary; 2]>,
    flags: Vec<CallFlags>,
    stray: Vec<MediaSummary>,
}

impl Output for Media {
    fn call(&mut self, record: &CallRecord<'_>) {
        self.calls.insert(record.call_id.to_string(), record.media);
        self.flags.push(record.flags);
    }

    fn stream(&mut self, stream: &MediaSummary) {
        self.stray.push(*stream);
    }
}

fn read(capture: Vec<u8>) -> Media {
    let progress = Arc::new(Progress::default());
    let input = std::io::Cursor::new(capture);
    read_capture(input, &EngineConfig::default(), Media::default(), &progress)
        .unwrap()
        .1
}

#[test]
fn every_stream_is_measured_as_a_plain_count_measures_it() {
    let mut capture = Vec::new();
    let load = media::Load {
        calls: 40,
        rate: 10.0,
        seconds: 20,
        seed: 7,
    };
    let (_, _, truths) = media::write(&mut capture, load).unwrap();
    let seen = read(capture);
    assert_eq!(truths.len(), 80);
    assert!(seen.stray.is_empty(), "every stream belongs to a call");
    for truth in truths {
        let stream = &seen.calls[&truth.call_id][usize::from(!truth.is_forward)];
        assert_eq!(stream.ssrc, truth.ssrc);
        let counted = (
            stream.packets,
            stream.lost,
            stream.duplicates,
            stream.reordered,
        );
        assert_eq!(
            counted,
            (truth.packets, truth.lost, truth.duplicates, truth.reordered),
            "{truth:?}"
        );
        let mean = f64::from(stream.jitter_mean_us) / 1e3 - truth.jitter_mean_ms;
        let most = f64::from(stream.jitter_max_us) / 1e3 - truth.jitter_max_ms;
        assert!(
            mean.abs() < 0.01 && most.abs() < 0.01,
            "{mean} {most} {truth:?}"
        );
        assert!(!stream.is_silent && !stream.is_one_way && stream.mos > 1.0 && stream.mos < 4.5);
    }
}

/// A call whose audio a test writes itself.
struct Scene {
    shots: Vec<Shot>,
    caller: SocketAddr,
    callee: SocketAddr,
}

/// Signalling as usual; the callee answers from 203.0.113.20:40000.
fn scene(change_answer: impl Fn(&str) -> String) -> Scene {
    let start_ns = 1_795_300_000 * S;
    let call = Call::new("scene@example".to_owned(), 1, start_ns, Style::default());
    let ends: (SocketAddr, SocketAddr) = (
        "10.20.0.5:5060".parse().unwrap(),
        "203.0.113.20:5060".parse().unwrap(),
    );
    let mut shots = Vec::new();
    for (place, line) in call.usual().into_iter().enumerate() {
        let mut text = line.text;
        if place == 3 {
            let answer = String::from_utf8(text).unwrap();
            let answer = answer
                .replace("c=IN IP4 10.20.0.5", "c=IN IP4 203.0.113.20")
                .replace("m=audio 30000", "m=audio 40000");
            let head = answer.split("\r\n\r\n").next().unwrap().len();
            let body = change_answer(&answer[head + 4..]);
            let head = answer[..head]
                .lines()
                .filter(|line| !line.starts_with("Content-Length"))
                .collect::<Vec<_>>();
            text = format!(
                "{}\r\nContent-Length: {}\r\n\r\n{body}",
                head.join("\r\n"),
                body.len()
            )
            .into_bytes();
        }
        let (from, to) = if line.is_forward {
            ends
        } else {
            (ends.1, ends.0)
        };
        shots.push(Shot::new(
            start_ns + line.at_ns,
            wire::udp_frame(from, to, &text, 1),
        ));
    }
    Scene {
        shots,
        caller: "10.20.0.5:30000".parse().unwrap(),
        callee: "203.0.113.20:40000".parse().unwrap(),
    }
}

impl Scene {
    /// Packets 20 ms apart from four seconds after the start on.
    fn audio(
        &mut self,
        by_caller: bool,
        ssrc: u32,
        kind: u8,
        numbers: std::ops::Range<u16>,
        payload: &[u8],
    ) {
        let (from, to) = if by_caller {
            (self.caller, self.callee)
        } else {
            (self.callee, self.caller)
        };
        for number in numbers {
            let at_ns = 1_795_300_000 * S + 4 * S + i64::from(number) * 20 * MS;
            let timestamp = u32::from(number) * 160;
            let datagram = rtp(kind, number, timestamp, ssrc, payload);
            self.shots.push(Shot::new(
                at_ns,
                wire::udp_frame(from, to, &datagram, number),
            ));
        }
    }

    fn read(mut self) -> Media {
        read(to_vec(ETHERNET, &mut self.shots))
    }

    fn media(self) -> [MediaSummary; 2] {
        self.read().calls["scene@example"]
    }
}

fn rtp(kind: u8, number: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x80, kind];
    datagram.extend(number.to_be_bytes());
    datagram.extend(timestamp.to_be_bytes());
    datagram.extend(ssrc.to_be_bytes());
    datagram.extend(payload);
    datagram
}

const SOUND: [u8; 160] = [0x2a; 160];
const SILENCE: [u8; 160] = [0xd5; 160];

#[test]
fn a_change_of_ssrc_goes_on_in_the_same_direction() {
    let mut scene = scene(str::to_owned);
    scene.audio(true, 1, 8, 0..100, &SOUND);
    scene.audio(true, 2, 8, 100..200, &SOUND);
    scene.audio(false, 3, 8, 0..200, &SOUND);
    let [sent, received] = scene.media();
    assert_eq!(
        (sent.packets, sent.lost, sent.ssrc, sent.ssrc_changes),
        (200, 0, 1, 1)
    );
    assert_eq!(
        (received.packets, received.ssrc_changes, received.is_one_way),
        (200, 0, false)
    );
    assert_eq!((sent.codec.as_str(), sent.payload_type), ("PCMA", 8));
}

#[test]
fn audio_in_one_direction_only_is_said() {
    let mut scene = scene(str::to_owned);
    scene.audio(false, 3, 8, 0..200, &SOUND);
    let [sent, received] = scene.media();
    assert_eq!((sent.packets, sent.is_one_way), (0, false));
    assert_eq!((received.packets, received.is_one_way), (200, true));
}

#[test]
fn the_same_ssrc_in_both_directions_is_two_streams() {
    let mut scene = scene(str::to_owned);
    scene.audio(true, 9, 8, 0..150, &SOUND);
    scene.audio(false, 9, 8, 0..50, &SOUND);
    let [sent, received] = scene.media();
    assert_eq!((sent.packets, received.packets), (150, 50));
}

#[test]
fn silence_is_told_from_sound_and_keys_are_counted_without_saying_which() {
    let mut scene = scene(str::to_owned);
    scene.audio(true, 1, 8, 0..100, &SILENCE);
    scene.audio(false, 2, 8, 0..100, &SOUND);
    for key in 0..3_u16 {
        for packet in 0..6_u16 {
            let number = 100 + key * 6 + packet;
            let at_ns = 1_795_300_000 * S + 7 * S + i64::from(number) * 20 * MS;
            let event = [
                key as u8 + 1,
                if packet > 3 { 0x8a } else { 0x0a },
                0,
                packet as u8 * 160,
            ];
            let datagram = rtp(101, number, 16_000 + u32::from(key) * 3000, 2, &event);
            let frame = wire::udp_frame(scene.callee, scene.caller, &datagram, number);
            scene.shots.push(Shot::new(at_ns, frame));
        }
    }
    let [sent, received] = scene.media();
    assert!(sent.is_silent && !received.is_silent);
    assert_eq!(
        (received.dtmf_events, received.packets, received.lost),
        (3, 118, 0)
    );
    assert_eq!(
        (received.codec.as_str(), received.jitter_max_us),
        ("PCMA", 0)
    );
}

#[test]
fn fax_by_t38_is_marked_and_its_packets_are_no_audio() {
    let fax = scene(|_| {
        "v=0\r\no=- 1 1 IN IP4 203.0.113.20\r\ns=-\r\nc=IN IP4 203.0.113.20\r\nt=0 0\r\nm=image 40000 udptl t38\r\n\
         a=T38FaxVersion:0\r\n"
            .to_owned()
    });
    let seen = fax.read();
    assert!(seen.flags[0].has(CallFlags::FAX), "{:?}", seen.flags);
    assert_eq!(
        seen.calls["scene@example"].map(|media| media.packets),
        [0, 0]
    );
}

#[test]
fn a_stream_without_a_call_is_told_and_its_clock_found() {
    let (from, to): (SocketAddr, SocketAddr) = (
        "10.9.9.1:7000".parse().unwrap(),
        "10.9.9.2:7000".parse().unwrap(),
    );
    let mut shots: Vec<Shot> = (0..400_u16)
        .map(|number| {
            // 48 kHz, dynamic payload type, every other packet 4 ms late.
            let at_ns =
                1_795_300_000 * S + i64::from(number) * 20 * MS + i64::from(number % 2) * 4 * MS;
            let datagram = rtp(111, number, u32::from(number) * 960, 77, &[1; 40]);
            Shot::new(at_ns, wire::udp_frame(from, to, &datagram, number))
        })
        .collect();
    let seen = read(to_vec(ETHERNET, &mut shots));
    let [stream] = seen.stray.as_slice() else {
        panic!("{:?}", seen.stray)
    };
    assert_eq!(
        (stream.packets, stream.ssrc, stream.payload_type),
        (400, 77, 111)
    );
    assert!((3900..=4000).contains(&stream.jitter_max_us), "{stream:?}");
}

#[test]
fn the_far_ends_view_is_taken_from_rtcp() {
    let mut scene = scene(str::to_owned);
    scene.audio(true, 1, 8, 0..200, &SOUND);
    scene.audio(false, 2, 8, 0..200, &SOUND);
    let words = |values: &[u32]| {
        values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let (from, to): (SocketAddr, SocketAddr) = (
        "10.20.0.5:30001".parse().unwrap(),
        "203.0.113.20:40001".parse().unwrap(),
    );
    let at_ns = 1_795_300_000 * S + 6 * S;
    let sender_report = words(&[0x80c8_0006, 1, 0x0000_1111, 0x2222_0000, 0, 100, 16_000]);
    // 30 ms later, of which the receiver held it for 10.
    let block = words(&[0x81c9_0007, 2, 1, 0x1000_0004, 0, 0, 0x1111_2222, 655]);
    scene.shots.push(Shot::new(
        at_ns,
        wire::udp_frame(from, to, &sender_report, 1),
    ));
    scene.shots.push(Shot::new(
        at_ns + 30 * MS,
        wire::udp_frame(to, from, &block, 1),
    ));
    let [sent, _] = scene.media();
    assert_eq!(sent.rtcp_fraction_lost, Some(16));
    assert!(
        sent.rtcp_round_trip_us
            .is_some_and(|trip| (19_900..20_100).contains(&trip)),
        "{sent:?}"
    );
}
