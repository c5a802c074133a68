//! HEP listeners: SIP and RTCP that SBCs, proxies and agents send to us, over UDP and TCP.
//!
//! Who may send is told by network and key; what they send is bounded in size before and after it is unpacked.

use ringfence_voice_wire::hep::{self, HepError, Packet, Payload};
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A HEP listener's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HepConfig {
    /// Address and port (senders' default port is 9060), for UDP and for TCP.
    pub listen: SocketAddr,
    /// Key that version 3 packets must carry; `null` takes any. With a key, versions 1 and 2 are refused: they have none.
    #[serde(default)]
    pub key: Option<String>,
    /// Addresses that may send beside this machine; empty: only this machine.
    #[serde(default)]
    pub allow_from: Vec<IpAddr>,
    /// Receive buffer asked of the system for UDP (default 8 MiB; `net.core.rmem_max` may grant less).
    #[serde(default = "default_receive_buffer")]
    pub receive_buffer_bytes: usize,
}

const fn default_receive_buffer() -> usize {
    8 << 20
}

/// What the listeners counted.
#[derive(Debug, Default)]
pub struct HepCounters {
    packets: AtomicU64,
    malformed: AtomicU64,
    refused: AtomicU64,
    other_kinds: AtomicU64,
    connections: AtomicU64,
    connections_refused: AtomicU64,
    receive_buffer: AtomicU64,
}

/// The same as plain numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HepStatistics {
    /// Packets taken.
    pub packets: u64,
    /// Packets that could not be read.
    pub malformed: u64,
    /// Packets without the right key or from an address that may not send.
    pub refused: u64,
    /// Packets that carry neither SIP nor RTP nor RTCP.
    pub other_kinds: u64,
    /// TCP connections taken.
    pub connections: u64,
    /// TCP connections refused: too many, or from an address that may not send.
    pub connections_refused: u64,
    /// Receive buffer that the system granted for UDP; less than asked for means `net.core.rmem_max` is too low.
    pub receive_buffer_bytes: u64,
}

impl HepCounters {
    /// The numbers now.
    #[must_use]
    pub fn statistics(&self) -> HepStatistics {
        HepStatistics {
            packets: self.packets.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            other_kinds: self.other_kinds.load(Relaxed),
            connections: self.connections.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            receive_buffer_bytes: self.receive_buffer.load(Relaxed),
        }
    }
}

/// Who takes the packets; called from the listeners' threads.
pub trait HepReceiver: Clone + Send + 'static {
    /// A packet that may be taken, its payload unpacked, its time set.
    fn packet(&mut self, packet: &Packet<'_>, payload: &[u8], time_us: i64);
}

/// The largest payload after unpacking.
const MAX_PAYLOAD: u64 = 256 << 10;
/// The largest HEP packet: its length has sixteen bits.
const MAX_PACKET: usize = 65_535;
const MAX_CONNECTIONS: usize = 256;
/// How soon a listener sees that it is to stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// Listeners that run until they are dropped.
#[derive(Debug)]
pub struct HepListener {
    address: SocketAddr,
    counters: Arc<HepCounters>,
    is_stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl HepListener {
    /// Binds UDP and TCP to the same port and begins to listen.
    pub fn start(config: &HepConfig, receiver: impl HepReceiver) -> io::Result<Self> {
        let (udp, tcp) = bind(config.listen)?;
        let socket = socket2::SockRef::from(&udp);
        let _ = socket.set_recv_buffer_size(config.receive_buffer_bytes);
        let counters = Arc::new(HepCounters::default());
        // The kernel doubles what it grants, for its own use.
        counters
            .receive_buffer
            .store(socket.recv_buffer_size().unwrap_or(0) as u64 / 2, Relaxed);
        udp.set_read_timeout(Some(PATIENCE))?;
        let address = udp.local_addr()?;
        let is_stopping = Arc::new(AtomicBool::new(false));
        let door = Door {
            key: config.key.clone().map(String::into_bytes),
            allow_from: config.allow_from.clone().into(),
            counters: Arc::clone(&counters),
            is_stopping: Arc::clone(&is_stopping),
        };
        let threads = vec![
            spawn("hep-udp", {
                let (door, receiver) = (door.clone(), receiver.clone());
                move || serve_udp(&udp, &door, receiver)
            })?,
            spawn("hep-tcp", move || serve_tcp(&tcp, &door, &receiver))?,
        ];
        Ok(Self {
            address,
            counters,
            is_stopping,
            threads,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counted.
    #[must_use]
    pub fn statistics(&self) -> HepStatistics {
        self.counters.statistics()
    }
}

impl Drop for HepListener {
    fn drop(&mut self) {
        self.is_stopping.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// UDP and TCP on one port; with port 0 the system's choice for one may be taken for the other: then again.
fn bind(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = io::Error::other("no port is free for both UDP and TCP");
    for _ in 0..16 {
        let tcp = TcpListener::bind(listen)?;
        tcp.set_nonblocking(true)?;
        match UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if listen.port() == 0 => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Who and what comes in.
#[derive(Clone)]
struct Door {
    key: Option<Vec<u8>>,
    allow_from: Arc<[IpAddr]>,
    counters: Arc<HepCounters>,
    is_stopping: Arc<AtomicBool>,
}

impl Door {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }

    fn may_send(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || self.allow_from.contains(&peer)
    }

    fn take(&self, octets: &[u8], receiver: &mut impl HepReceiver) -> Result<(), HepError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut unpacked = Vec::new();
        // heplify packs the whole datagram.
        let octets = if octets.starts_with(&[0x1f, 0x8b]) {
            inflate(octets, &mut unpacked)?;
            unpacked.as_slice()
        } else {
            octets
        };
        let packet = hep::parse(octets, u32::try_from(now.as_secs()).unwrap_or(u32::MAX))?;
        if let Some(key) = &self.key
            && !is_equal(key, packet.key)
        {
            self.counters.refused.fetch_add(1, Relaxed);
            return Ok(());
        }
        if !matches!(
            packet.kind,
            hep::kind::SIP | hep::kind::RTP | hep::kind::RTCP
        ) {
            self.counters.other_kinds.fetch_add(1, Relaxed);
            return Ok(());
        }
        let mut inflated = Vec::new();
        let payload = match packet.payload {
            Payload::Plain(payload) => payload,
            Payload::Compressed(payload) => {
                inflate(payload, &mut inflated)?;
                &inflated
            }
        };
        self.counters.packets.fetch_add(1, Relaxed);
        let time_us = packet
            .time_us
            .unwrap_or(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        receiver.packet(&packet, payload, time_us);
        Ok(())
    }

    fn take_or_count(&self, octets: &[u8], receiver: &mut impl HepReceiver) {
        if self.take(octets, receiver).is_err() {
            self.counters.malformed.fetch_add(1, Relaxed);
        }
    }
}

/// Compares all octets whatever differs first.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// gzip, zlib or raw deflate: senders disagree. What grows past the limit is refused.
fn inflate(packed: &[u8], out: &mut Vec<u8>) -> Result<(), HepError> {
    let readers: [Box<dyn Read + '_>; 3] = [
        Box::new(flate2::read::GzDecoder::new(packed)),
        Box::new(flate2::read::ZlibDecoder::new(packed)),
        Box::new(flate2::read::DeflateDecoder::new(packed)),
    ];
    for reader in readers {
        out.clear();
        if reader.take(MAX_PAYLOAD + 1).read_to_end(out).is_ok() && !out.is_empty() {
            return if out.len() as u64 > MAX_PAYLOAD {
                Err(HepError::Length)
            } else {
                Ok(())
            };
        }
    }
    Err(HepError::Payload)
}

fn serve_udp(socket: &UdpSocket, door: &Door, mut receiver: impl HepReceiver) {
    let mut buffer = vec![0; MAX_PACKET];
    while !door.is_stopping() {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if door.may_send(peer.ip()) {
            door.take_or_count(&buffer[..length], &mut receiver);
        } else {
            door.counters.refused.fetch_add(1, Relaxed);
        }
    }
}

fn serve_tcp(listener: &TcpListener, door: &Door, receiver: &impl HepReceiver) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !door.is_stopping() {
        let Ok((stream, peer)) = listener.accept() else {
            threads.retain(|thread| !thread.is_finished());
            std::thread::sleep(PATIENCE / 4);
            continue;
        };
        if !door.may_send(peer.ip()) || open.load(Relaxed) >= MAX_CONNECTIONS {
            door.counters.connections_refused.fetch_add(1, Relaxed);
            continue;
        }
        door.counters.connections.fetch_add(1, Relaxed);
        open.fetch_add(1, Relaxed);
        let (door, mut receiver, open) = (door.clone(), receiver.clone(), Arc::clone(&open));
        let served = spawn("hep-peer", move || {
            let _ = serve_stream(stream, &door, &mut receiver);
            open.fetch_sub(1, Relaxed);
        });
        threads.extend(served);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Packets one behind the other; a head that can't be one closes the connection, there is no way back into the stream.
fn serve_stream(
    mut stream: TcpStream,
    door: &Door,
    receiver: &mut impl HepReceiver,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 2 * MAX_PACKET];
    let mut end = 0;
    while !door.is_stopping() {
        match stream.read(&mut buffer[end..]) {
            Ok(0) => return Ok(()),
            Ok(count) => end += count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        }
        let mut start = 0;
        while let Some(length) = hep::framed_length(&buffer[start..end]) {
            let Ok(length) = length else {
                door.counters.malformed.fetch_add(1, Relaxed);
                return Ok(());
            };
            if end - start < length {
                break;
            }
            door.take_or_count(&buffer[start..start + length], receiver);
            start += length;
        }
        buffer.copy_within(start..end, 0);
        end -= start;
    }
    Ok(())
}
