//! Runs the live probe for the bench: `probe-live CONFIG.json`. Says `ready`, ends when nothing has come for two seconds
//! (sixty at most before the first packet), and prints one JSON line of what it saw.
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringfence_probe::engine::{LiveConfig, LiveProbe, Output};
use ringfence_probe::record::CallRecord;

#[derive(Clone, Default)]
struct Sums(Arc<Mutex<[u64; 4]>>);

impl Output for Sums {
    fn call(&mut self, record: &CallRecord<'_>) {
        if let Ok(mut sums) = self.0.lock() {
            sums[0] += 1;
            for media in &record.media {
                sums[1] += u64::from(media.packets);
                sums[2] += u64::from(media.lost);
                sums[3] += u64::from(media.lost_by_probe);
            }
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe-live: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("probe-live CONFIG.json")?;
    let config: LiveConfig = serde_json::from_slice(&std::fs::read(path)?)?;
    let sums = Sums::default();
    let mut probe = LiveProbe::start(&config, sums.clone())?;
    eprintln!("ready");
    let started = Instant::now();
    let (mut last, mut since) = (0, Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let frames = probe.statistics().engine.decode.frames;
        if frames != last {
            (last, since) = (frames, Instant::now());
        }
        let patience = Duration::from_secs(if frames == 0 { 60 } else { 2 });
        if since.elapsed() > patience || started.elapsed() > Duration::from_secs(300) {
            break;
        }
    }
    probe.stop();
    let statistics = probe.statistics();
    let [calls, packets, lost, lost_by_probe] = sums.0.lock().map(|sums| *sums).unwrap_or_default();
    let line = serde_json::json!({
        "calls": calls, "rtp": packets, "lost": lost, "lost_by_probe": lost_by_probe, "statistics": statistics,
    });
    println!("{line}");
    Ok(())
}
