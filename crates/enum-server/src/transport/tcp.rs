//! TCP (RFC 7766): one thread for all listeners and connections. For the rare client that asks so.
//!
//! Queries of a connection may follow each other without waiting (6.2.1.1); they are answered in order. Connections are
//! closed when idle (6.2.3) and limited in number, in all and for each peer, so that they cannot crowd out UDP's threads.
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::counters::Counter;
use crate::installed::Installed;
use crate::sink::EventSink;
use crate::stages::{Pipeline, Transport};
use crate::wire::header::HEADER;
use crate::wire::response::ANSWER_MAX;

/// Most connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// Most connections of one peer.
const CONNECTIONS_OF_PEER_MAX: usize = 32;
/// How long a connection may be quiet (RFC 7766, 6.2.3: of the order of seconds).
const IDLE: Duration = Duration::from_secs(10);
/// Most octets of answers that wait for a slow client; then no more of its queries are read.
const OUTPUT_MAX: usize = 64 << 10;
/// Octets taken from a connection at a time.
const READ: usize = 16 << 10;

/// Binds a listener beside the UDP socket.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Serves until `stop`; a write to the other end of `waker` wakes it.
pub fn serve<S: EventSink>(
    listeners: &[TcpListener],
    waker: &UnixStream,
    pipeline: &mut Pipeline<S>,
    policy: &ArcSwapOption<Installed>,
    stop: &AtomicBool,
) {
    let mut connections: Vec<Connection> = Vec::new();
    let mut buffer = vec![0; READ];
    while !stop.load(Relaxed) {
        let Ok((acceptable, ready)) = wait(listeners, waker, &connections) else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        for place in ready {
            connections[place].take(&mut buffer, pipeline, policy);
        }
        pipeline.commit();
        connections.iter_mut().for_each(Connection::flush);
        connections.retain(|connection| !connection.is_over());
        for place in acceptable {
            accept(&listeners[place], &mut connections, pipeline);
        }
    }
}

/// Places of the listeners and connections that have something.
fn wait(
    listeners: &[TcpListener],
    waker: &UnixStream,
    connections: &[Connection],
) -> Result<(Vec<usize>, Vec<usize>), nix::Error> {
    let mut polled = vec![PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
    polled.extend(
        listeners
            .iter()
            .map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)),
    );
    polled.extend(
        connections
            .iter()
            .map(|connection| PollFd::new(connection.stream.as_fd(), connection.interest())),
    );
    let timeout = if connections.is_empty() {
        PollTimeout::NONE
    } else {
        PollTimeout::from(1_000_u16)
    };
    poll(&mut polled, timeout)?;
    let has_event = |polled: &PollFd<'_>| polled.any().unwrap_or(true);
    let (front, behind) = polled[1..].split_at(listeners.len());
    let places = |part: &[PollFd<'_>]| {
        part.iter()
            .enumerate()
            .filter(|(_, fd)| has_event(fd))
            .map(|(place, _)| place)
            .collect()
    };
    Ok((places(front), places(behind)))
}

fn accept<S: EventSink>(
    listener: &TcpListener,
    connections: &mut Vec<Connection>,
    pipeline: &Pipeline<S>,
) {
    while let Ok((stream, peer)) = listener.accept() {
        if !pipeline.lets_in(peer.ip()) {
            pipeline.counters().add(Counter::DroppedAcl);
            continue;
        }
        let of_peer = connections
            .iter()
            .filter(|connection| connection.peer.ip() == canonical(peer.ip()))
            .count();
        let is_full = connections.len() >= CONNECTIONS_MAX || of_peer >= CONNECTIONS_OF_PEER_MAX;
        if is_full || stream.set_nonblocking(true).is_err() {
            pipeline.counters().add(Counter::TcpRefused);
            continue;
        }
        let _ = stream.set_nodelay(true);
        pipeline.counters().add(Counter::TcpConnections);
        connections.push(Connection::new(stream, peer));
    }
}

fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Octets of queries that are not whole yet.
    input: Vec<u8>,
    /// Answers not yet taken by the client.
    output: Vec<u8>,
    /// The client sends no more, or broke the rules.
    is_closing: bool,
    is_broken: bool,
    last: Instant,
}

impl Connection {
    fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        let (input, output) = (Vec::new(), Vec::new());
        Self {
            stream,
            peer,
            input,
            output,
            is_closing: false,
            is_broken: false,
            last: Instant::now(),
        }
    }

    fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.output.is_empty() {
            flags |= PollFlags::POLLOUT;
        }
        if !self.is_closing && self.output.len() < OUTPUT_MAX {
            flags |= PollFlags::POLLIN;
        }
        flags
    }

    fn is_over(&self) -> bool {
        self.is_broken || self.is_closing && self.output.is_empty() || self.last.elapsed() > IDLE
    }

    /// Reads once and answers every whole query into `output`.
    fn take<S: EventSink>(
        &mut self,
        buffer: &mut [u8],
        pipeline: &mut Pipeline<S>,
        policy: &ArcSwapOption<Installed>,
    ) {
        if self.is_closing || self.output.len() >= OUTPUT_MAX {
            return;
        }
        match self.stream.read(buffer) {
            Ok(0) => self.is_closing = true,
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                self.last = Instant::now();
                self.answer_whole(pipeline, policy);
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.is_broken = true,
        }
    }

    fn answer_whole<S: EventSink>(
        &mut self,
        pipeline: &mut Pipeline<S>,
        policy: &ArcSwapOption<Installed>,
    ) {
        let policy = policy.load();
        let received = super::now();
        let mut answer = [0; ANSWER_MAX];
        let mut at = 0;
        while let Some(&[high, low]) = self.input.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < HEADER {
                // No DNS message is shorter: what follows cannot be trusted to be one.
                self.is_closing = true;
                break;
            }
            let Some(packet) = self.input.get(at + 2..at + 2 + length) else {
                break;
            };
            let written = pipeline.process(
                packet,
                self.peer,
                Transport::Tcp,
                received,
                policy.as_deref(),
                &mut answer,
            );
            if written > 0 {
                self.output
                    .extend_from_slice(&(written as u16).to_be_bytes());
                self.output.extend_from_slice(&answer[..written]);
            }
            at += 2 + length;
        }
        self.input.drain(..at);
    }

    fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) if count > 0 => {
                    self.output.drain(..count);
                    self.last = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    self.is_broken = true;
                    return;
                }
            }
        }
    }
}
