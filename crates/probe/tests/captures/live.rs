//! A call over loopback, captured by the kernel's rings: two of them, so that SIP and RTP meet different threads.
//! Needs the right to open packet sockets; without it, it says so and passes.

use ringfence_captures::script::{Call, Style};
use ringfence_probe::engine::{LiveConfig, LiveProbe, Output};
use ringfence_probe::record::{CallRecord, MediaSummary};
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<Seen>>>);

/// Call-ID, status and media of a record.
type Seen = (String, u16, [MediaSummary; 2]);

impl Output for Calls {
    fn call(&mut self, record: &CallRecord<'_>) {
        let call = (record.call_id.to_string(), record.status, record.media);
        self.0.lock().unwrap().push(call);
    }
}

const PACKETS: u16 = 50;

#[test]
fn a_call_and_its_audio_meet_whatever_threads_they_came_by() {
    let calls = Calls::default();
    let config = serde_json::json!({ "interfaces": [{ "interface": "lo", "threads": 2, "ring_bytes": 4 << 20 }] });
    let config: LiveConfig = serde_json::from_value(config).unwrap();
    let mut probe = match LiveProbe::start(&config, calls.clone()) {
        Ok(probe) => probe,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let sockets: [UdpSocket; 4] = std::array::from_fn(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [caller, callee, caller_audio, callee_audio] = &sockets;
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let name = format!("live-{}@loopback", std::process::id());
    let call = Call::new(name.clone(), 1, 0, Style::default());
    for (place, line) in call.usual().into_iter().enumerate() {
        let audio = if line.is_forward {
            caller_audio
        } else {
            callee_audio
        };
        // Of the same length as what it stands for, so that Content-Length stays right.
        let text = String::from_utf8(line.text).unwrap();
        let text = text
            .replace("c=IN IP4 10.20.0.5", "c=IN IP4 127.0.0.1")
            .replace("m=audio 30000", &format!("m=audio {:05}", port(audio)));
        let (from, to) = if line.is_forward {
            (caller, callee)
        } else {
            (callee, caller)
        };
        from.send_to(text.as_bytes(), to.local_addr().unwrap())
            .unwrap();
        if place == 4 {
            for number in 0..PACKETS {
                for (from, to, ssrc) in [
                    (caller_audio, callee_audio, 1_u32),
                    (callee_audio, caller_audio, 2),
                ] {
                    let mut datagram = vec![0x80, 8];
                    datagram.extend(number.to_be_bytes());
                    datagram.extend((u32::from(number) * 160).to_be_bytes());
                    datagram.extend(ssrc.to_be_bytes());
                    datagram.extend([0x2a; 160]);
                    from.send_to(&datagram, to.local_addr().unwrap()).unwrap();
                }
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while probe.inspect(|dialogs, _| dialogs.counters().of_calls) < 7
        || probe.statistics().engine.streams.rtp < 100
    {
        assert!(
            Instant::now() < deadline && !probe.has_failed(),
            "{:?}",
            probe.statistics()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let statistics = probe.statistics();
    probe.stop();
    let seen = calls.0.lock().unwrap();
    let (_, status, media) = seen.iter().find(|(call_id, ..)| *call_id == name).unwrap();
    assert_eq!(*status, 200);
    assert_eq!(
        media.map(|side| (side.ssrc, side.packets, side.lost)),
        [(1, 50, 0), (2, 50, 0)]
    );
    assert_eq!(statistics.interfaces[0].0, "lo");
    assert!(statistics.interfaces[0].1.packets >= 107, "{statistics:?}");
    assert_eq!((statistics.probe_lost, statistics.messages_lost), (0, 0));
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let config = serde_json::json!({ "interfaces": [{ "interface": "no-such-interface" }] });
    let config: LiveConfig = serde_json::from_value(config).unwrap();
    let error = LiveProbe::start(&config, Calls::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("interface no-such-interface: "),
        "{error}"
    );
}
