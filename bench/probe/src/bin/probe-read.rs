//! Reads captures with the probe's engine: one JSON line for each call and each stream of no call, then what was counted.
//! `probe-read FILE [--quiet]`; with `--quiet` only the counters.
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;

use ringfence_probe::engine::{EngineConfig, Output, Progress, read_capture};
use ringfence_probe::record::{CallRecord, MediaSummary};

struct Lines<W> {
    out: W,
    is_quiet: bool,
    calls: u64,
}

impl<W: Write> Output for Lines<W> {
    fn call(&mut self, record: &CallRecord<'_>) {
        self.calls += 1;
        if !self.is_quiet && serde_json::to_writer(&mut self.out, record).is_ok() {
            let _ = self.out.write_all(b"\n");
        }
    }

    fn stream(&mut self, stream: &MediaSummary) {
        if !self.is_quiet
            && serde_json::to_writer(&mut self.out, &serde_json::json!({ "stream": stream }))
                .is_ok()
        {
            let _ = self.out.write_all(b"\n");
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("probe-read FILE [--quiet]");
        return ExitCode::from(2);
    };
    let is_quiet = arguments.next().is_some();
    let out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let lines = Lines {
        out,
        is_quiet,
        calls: 0,
    };
    let read = std::fs::File::open(&path)
        .map_err(Into::into)
        .and_then(|file| {
            read_capture(
                file,
                &EngineConfig::default(),
                lines,
                &Arc::new(Progress::default()),
            )
        });
    match read {
        Ok((outcome, mut lines)) => {
            let _ = writeln!(
                lines.out,
                "{}",
                serde_json::json!({ "calls": lines.calls, "outcome": outcome })
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("probe-read: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}
