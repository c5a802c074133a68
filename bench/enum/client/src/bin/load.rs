//! `enum-load`: sends DNS queries and measures the answers; prints one JSON object.
//!
//! `enum-load --server ADDRESS:PORT --queries FILE --seconds S (--window N | --rate R) [--sockets N]`
//!
//! With `--window` it keeps that many queries in flight (closed loop: how fast can the server go). With `--rate` it
//! sends on schedule whatever happens, and latency counts from the scheduled moment (open loop: no coordinated
//! omission). A query without an answer after one second is lost. FILE holds DNS messages, each after its length
//! (two octets, big endian); identifiers are set here.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Instant;

use bench_enum::arguments::Arguments;
use bench_enum::datagrams::{Batch, DATAGRAM, enlarge_buffers};
use bench_enum::histogram::Histogram;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use serde_json::json;

const LOST_AFTER_NS: u64 = 1_000_000_000;
const EXPIRY_CHECK_NS: u64 = 50_000_000;
const IDLE_WAIT_MS: u8 = 1;
// Identifier = generation (4 bits) and slot (12 bits): an answer that comes after its query was given up is told apart.
const SLOT_BITS: u32 = 12;
const MAX_SLOTS: usize = 1 << SLOT_BITS;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let server: SocketAddr = arguments.required("server")?;
    let queries = Queries::read(&fs::read(arguments.required::<String>("queries")?)?)?;
    let seconds: f64 = arguments.required("seconds")?;
    let rate: Option<f64> = arguments.optional("rate")?;
    let window: usize = arguments.optional("window")?.unwrap_or(256);
    let sockets: usize = arguments.optional("sockets")?.unwrap_or(16).max(1);
    let slots = if rate.is_some() {
        MAX_SLOTS
    } else {
        (window / sockets).clamp(1, MAX_SLOTS)
    };
    let channels = (0..sockets)
        .map(|_| Channel::open(server, slots))
        .collect::<Result<_, _>>()?;
    let mut load = Load {
        channels,
        queries,
        received: Batch::default(),
        sent: Batch::default(),
        tally: Tally::default(),
    };
    let (start, end) = (Instant::now(), (seconds * 1e9) as u64);
    load.run(start, end, rate)?;
    println!("{}", load.tally.report(rate));
    Ok(())
}

/// DNS messages to send, one after the other, from the first again after the last.
struct Queries {
    bytes: Vec<u8>,
    spans: Vec<(usize, usize)>,
    next: usize,
}

impl Queries {
    fn read(file: &[u8]) -> Result<Self, String> {
        let (mut spans, mut at) = (Vec::new(), 0);
        while let Some([high, low]) = file.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let end = at + 2 + length;
            if !(12..=DATAGRAM).contains(&length) || end > file.len() {
                return Err(format!("queries: bad length {length} at octet {at}"));
            }
            spans.push((at + 2, end));
            at = end;
        }
        if spans.is_empty() {
            return Err("queries: the file is empty".into());
        }
        Ok(Self {
            bytes: file.to_vec(),
            spans,
            next: 0,
        })
    }

    fn next(&mut self) -> &[u8] {
        let (start, end) = self.spans[self.next];
        self.next = if self.next + 1 == self.spans.len() {
            0
        } else {
            self.next + 1
        };
        &self.bytes[start..end]
    }
}

/// One query in flight; `since` 0 when the slot is free.
#[derive(Clone, Copy, Default)]
struct Slot {
    since: u64,
    generation: u16,
}

/// A connected socket and its queries in flight.
struct Channel {
    socket: UdpSocket,
    slots: Vec<Slot>,
    free: Vec<u16>,
}

impl Channel {
    fn open(server: SocketAddr, slots: usize) -> Result<Self, Box<dyn Error>> {
        let local = if server.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(local)?;
        socket.connect(server)?;
        enlarge_buffers(&socket)?;
        Ok(Self {
            socket,
            slots: vec![Slot::default(); slots],
            free: (0..slots as u16).rev().collect(),
        })
    }

    /// Take a free slot; its identifier.
    fn take(&mut self, since: u64) -> Option<u16> {
        let index = self.free.pop()?;
        let slot = self.slots.get_mut(usize::from(index))?;
        slot.since = since.max(1);
        slot.generation = slot.generation.wrapping_add(1) & 0xf;
        Some(slot.generation << SLOT_BITS | index)
    }

    /// Free the slot of `identifier`; since when it was in flight, None for one that is not.
    fn release(&mut self, identifier: u16) -> Option<u64> {
        let index = identifier & (MAX_SLOTS as u16 - 1);
        let slot = self.slots.get_mut(usize::from(index))?;
        if slot.since == 0 || slot.generation != identifier >> SLOT_BITS {
            return None;
        }
        self.free.push(index);
        Some(std::mem::take(&mut slot.since))
    }

    fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Give up queries sent before `limit`; how many.
    fn expire(&mut self, limit: u64) -> u64 {
        let mut lost = 0;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.since != 0 && slot.since < limit {
                slot.since = 0;
                self.free.push(index as u16);
                lost += 1;
            }
        }
        lost
    }
}

/// What was counted.
#[derive(Default)]
struct Tally {
    sent: u64,
    answered: u64,
    lost: u64,
    bad: u64,
    late: u64,
    held_back: u64,
    last_answer: u64,
    latencies: Histogram,
}

impl Tally {
    fn report(&self, rate: Option<f64>) -> serde_json::Value {
        let seconds = self.last_answer as f64 / 1e9;
        json!({
            "sent": self.sent, "answered": self.answered, "lost": self.lost, "bad": self.bad, "late": self.late,
            "held_back": self.held_back, "seconds": seconds, "wanted_rate": rate,
            "rate": if seconds > 0.0 { self.answered as f64 / seconds } else { 0.0 },
            "mean_us": self.latencies.mean_us(), "p50_us": self.latencies.quantile_us(0.5),
            "p99_us": self.latencies.quantile_us(0.99), "p999_us": self.latencies.quantile_us(0.999),
            "max_us": self.latencies.quantile_us(1.0),
        })
    }
}

struct Load {
    channels: Vec<Channel>,
    queries: Queries,
    received: Batch,
    sent: Batch,
    tally: Tally,
}

impl Load {
    fn run(&mut self, start: Instant, end: u64, rate: Option<f64>) -> nix::Result<()> {
        let now = || start.elapsed().as_nanos() as u64;
        let mut next_expiry = EXPIRY_CHECK_NS;
        loop {
            let received = self.receive(&now)?;
            if received == 0 && rate.is_none() {
                self.wait()?;
            }
            let time = now();
            if time < end {
                match rate {
                    Some(rate) => self.send_due((time as f64 * rate / 1e9) as u64, rate)?,
                    None => self.fill_window(&now)?,
                }
            } else if self.channels.iter().all(|channel| channel.in_flight() == 0) {
                return Ok(());
            }
            if time > next_expiry {
                next_expiry = time + EXPIRY_CHECK_NS;
                let limit = time.saturating_sub(LOST_AFTER_NS);
                self.tally.lost += self
                    .channels
                    .iter_mut()
                    .map(|channel| channel.expire(limit))
                    .sum::<u64>();
            }
        }
    }

    /// Leave the processor to the server until an answer is there.
    fn wait(&self) -> nix::Result<()> {
        let mut sockets: Vec<_> = self
            .channels
            .iter()
            .map(|channel| PollFd::new(channel.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut sockets, IDLE_WAIT_MS) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Take the answers that are there; how many datagrams.
    fn receive(&mut self, now: &impl Fn() -> u64) -> nix::Result<usize> {
        let mut datagrams = 0;
        for channel in &mut self.channels {
            if channel.in_flight() == 0 {
                continue;
            }
            self.received.receive(&channel.socket, false)?;
            datagrams += self.received.len();
            let time = now();
            for answer in self.received.iter() {
                let [high, low, _, flags, _, _, _, answers, ..] = *answer else {
                    continue;
                };
                let Some(since) = channel.release(u16::from_be_bytes([high, low])) else {
                    self.tally.late += 1;
                    continue;
                };
                self.tally.answered += 1;
                self.tally.bad += u64::from(flags & 0xf != 0 || answers == 0);
                self.tally.last_answer = time;
                self.tally.latencies.add(time.saturating_sub(since));
            }
        }
        Ok(datagrams)
    }

    fn fill_window(&mut self, now: &impl Fn() -> u64) -> nix::Result<()> {
        for index in 0..self.channels.len() {
            let time = now();
            self.send(index, usize::MAX, |_| time)?;
        }
        Ok(())
    }

    /// Send what is due by now: `due` queries in all since the start.
    fn send_due(&mut self, due: u64, rate: f64) -> nix::Result<()> {
        for turn in 0..self.channels.len() {
            if self.tally.sent >= due {
                return Ok(());
            }
            // Spread over all sockets, a few at a time, as many callers would.
            let index = (self.tally.sent as usize + turn) % self.channels.len();
            let first = self.tally.sent;
            let count = ((due - first) as usize).min(8);
            if self.send(index, count, |n| ((first + n) as f64 * 1e9 / rate) as u64)? == 0 {
                self.tally.held_back += 1;
            }
        }
        Ok(())
    }

    /// Send up to `count` queries on one channel; `since(n)` is the moment the n-th of them counts from.
    fn send(
        &mut self,
        index: usize,
        count: usize,
        since: impl Fn(u64) -> u64,
    ) -> nix::Result<usize> {
        let Some(channel) = self.channels.get_mut(index) else {
            return Ok(0);
        };
        self.sent.clear();
        while self.sent.len() < count && !self.sent.is_full() {
            let Some(identifier) = channel.take(since(self.sent.len() as u64)) else {
                break;
            };
            let query = self.queries.next();
            self.sent.push(|buffer| {
                buffer[..query.len()].copy_from_slice(query);
                buffer[..2].copy_from_slice(&identifier.to_be_bytes());
                query.len()
            });
        }
        if self.sent.is_empty() {
            return Ok(0);
        }
        let taken = self.sent.send(&channel.socket)?;
        for unsent in self.sent.iter().skip(taken) {
            if let [high, low, ..] = *unsent {
                channel.release(u16::from_be_bytes([high, low]));
            }
        }
        self.tally.sent += taken as u64;
        Ok(taken)
    }
}
