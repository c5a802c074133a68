//! Writes captures with their truth: `probe-generate sip|media|hard OUT.pcap TRUTH.jsonl [CALLS] [SEED]`.
use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use ringfence_captures::{cases, media, pcap, script, sip, wire};
use serde_json::json;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, capture, truth, rest @ ..] = arguments.as_slice() else {
        eprintln!("probe-generate sip|media|hard OUT.pcap TRUTH.jsonl [CALLS] [SEED]");
        return ExitCode::from(2);
    };
    let calls = rest
        .first()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2000);
    let seed = rest
        .get(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_261_122);
    let written = File::create(capture).and_then(|capture| {
        let mut capture = BufWriter::with_capacity(1 << 20, capture);
        let mut truth = BufWriter::new(File::create(truth)?);
        let packets = match kind.as_str() {
            "sip" => write_sip(&mut capture, &mut truth, calls, seed)?,
            "media" => write_media(&mut capture, &mut truth, calls, seed)?,
            "hard" => write_hard(&mut capture, &mut truth)?,
            other => return Err(std::io::Error::other(format!("no such kind: {other}"))),
        };
        capture.flush()?;
        truth.flush()?;
        Ok(packets)
    });
    match written {
        Ok(packets) => {
            println!("{}", json!({ "packets": packets }));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("probe-generate: {error}");
            ExitCode::FAILURE
        }
    }
}

const fn us(ns: i64) -> Option<i64> {
    if ns == 0 { None } else { Some(ns / 1000) }
}

fn write_sip(
    capture: &mut impl Write,
    truth: &mut impl Write,
    calls: u32,
    seed: u64,
) -> std::io::Result<u64> {
    let (packets, truths) = sip::write(
        capture,
        sip::Load {
            calls,
            rate: 200.0,
            seed,
        },
    )?;
    for call in truths {
        let line = json!({
            "call_id": call.call_id, "records": 1, "source": call.source, "destination": call.destination,
            "status": call.status, "start_us": us(call.start_ns), "answer_us": us(call.answer_ns), "end_us": us(call.end_ns),
            "released_by": released_by(call.released_by),
            "challenges": call.challenges, "reinvites": call.reinvites,
        });
        writeln!(truth, "{line}")?;
    }
    Ok(packets)
}

const fn released_by(side: u8) -> Option<&'static str> {
    match side {
        1 => Some("source"),
        2 => Some("destination"),
        _ => None,
    }
}

fn call_line(call: &script::Truth) -> serde_json::Value {
    let us = |ns: Option<i64>| ns.map(|ns| ns / 1000);
    json!({
        "call_id": call.call_id, "records": call.records, "source": call.source, "destination": call.destination,
        "status": call.status, "start_us": us(call.start_ns), "answer_us": us(call.answer_ns), "end_us": us(call.end_ns),
    })
}

fn write_media(
    capture: &mut impl Write,
    truth: &mut impl Write,
    calls: u32,
    seed: u64,
) -> std::io::Result<u64> {
    let (packets, calls, streams) = media::write(
        capture,
        media::Load {
            calls,
            rate: 20.0,
            seconds: 30,
            seed,
        },
    )?;
    for call in calls {
        writeln!(truth, "{}", call_line(&call))?;
    }
    for stream in streams {
        let line = json!({ "stream": {
            "call_id": stream.call_id, "is_forward": stream.is_forward, "ssrc": stream.ssrc,
            "disturbance": format!("{:?}", stream.disturbance), "packets": stream.packets, "lost": stream.lost,
            "duplicates": stream.duplicates, "reordered": stream.reordered,
            "jitter_mean_ms": stream.jitter_mean_ms, "jitter_max_ms": stream.jitter_max_ms,
        }});
        writeln!(truth, "{line}")?;
    }
    Ok(packets)
}

fn write_hard(capture: &mut impl Write, truth: &mut impl Write) -> std::io::Result<u64> {
    let mut shots = Vec::new();
    for case in cases::well_formed() {
        shots.extend(case.shots);
        for call in case.truths {
            let mut line = call_line(&call);
            line["case"] = json!(case.name);
            writeln!(truth, "{line}")?;
        }
    }
    let ends = script::sides(5060, false);
    let messages = cases::malformed_messages()
        .into_iter()
        .map(|text| wire::udp_frame(ends.0, ends.1, &text, 1));
    for (index, frame) in messages.chain(cases::broken_frames()).enumerate() {
        shots.push(pcap::Shot::new(
            cases::START_NS + index as i64 * script::MS,
            frame,
        ));
    }
    pcap::write(capture, pcap::ETHERNET, &mut shots)?;
    Ok(shots.len() as u64)
}
