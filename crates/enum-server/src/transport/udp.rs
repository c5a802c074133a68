//! UDP: a batch is received with one system call, decided, its events committed, and answered with one call.
//!
//! A socket bound to every address of the host answers from the address that was asked; see `local_address`.
//! Each thread has its own socket on the same address (SO_REUSEPORT): the kernel spreads clients over them.
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, getsockopt, recvmmsg,
    sendmmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::local_address::Family;
use crate::counters::Counter;
use crate::installed::Installed;
use crate::sink::EventSink;
use crate::stages::{self, Pipeline, Transport};
use crate::wire::response::ANSWER_MAX;

/// Queries taken with one call.
const BATCH: usize = 64;
/// Longest query read; a longer one is cut and then malformed.
const QUERY_MAX: usize = 1500;
/// Wanted send buffer: answers to some batches.
const SEND_BUFFER: usize = 4 << 20;
/// How long a thread sleeps before it looks whether it should stop, in case the wake-up was missed.
const WAKE: Duration = Duration::from_millis(200);

/// Binds `count` sockets to one address, and asks for a receive buffer of so many octets. Refuses an address that another
/// process answers at already.
pub fn bind(address: SocketAddr, count: usize, buffer: usize) -> io::Result<Vec<UdpSocket>> {
    // SO_REUSEPORT would let a second server in quietly, and split the queries: try alone first.
    let alone = open(address, false, buffer)?;
    let address = alone.local_addr()?;
    drop(alone);
    (0..count).map(|_| open(address, true, buffer)).collect()
}

/// The receive buffer that the system gave, octets of what was asked for: it keeps as much again for itself (socket(7)).
pub fn receive_buffer(socket: &UdpSocket) -> usize {
    getsockopt(socket, sockopt::RcvBuf).unwrap_or(0) / 2
}

fn open(address: SocketAddr, is_shared: bool, buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(is_shared)?;
    // net.core.rmem_max limits it, save with CAP_NET_ADMIN; less is no reason not to serve.
    if setsockopt(&socket, sockopt::RcvBufForce, &buffer).is_err() {
        let _ = socket.set_recv_buffer_size(buffer);
    }
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    match address {
        _ if !address.ip().is_unspecified() => {}
        SocketAddr::V4(_) => SockaddrIn::ask(&socket)?,
        SocketAddr::V6(_) => SockaddrIn6::ask(&socket)?,
    }
    socket.bind(&address.into())?;
    socket.set_read_timeout(Some(WAKE))?;
    Ok(socket.into())
}

/// Serves until `stop`; wake it with `shutdown` of the socket.
pub fn serve<S: EventSink>(
    socket: &UdpSocket,
    pipeline: &mut Pipeline<S>,
    policy: &ArcSwapOption<Installed>,
    stop: &AtomicBool,
) {
    let address = socket.local_addr();
    let is_wildcard = address
        .as_ref()
        .is_ok_and(|address| address.ip().is_unspecified());
    match address {
        Ok(SocketAddr::V6(_)) => {
            Loop::<SockaddrIn6>::new(is_wildcard).run(socket, pipeline, policy, stop);
        }
        _ => Loop::<SockaddrIn>::new(is_wildcard).run(socket, pipeline, policy, stop),
    }
}

/// Addresses of one family, as the kernel writes them.
trait PeerAddress: Family {
    fn to_std(&self) -> SocketAddr;
}

impl PeerAddress for SockaddrIn {
    fn to_std(&self) -> SocketAddr {
        SocketAddrV4::from(*self).into()
    }
}

impl PeerAddress for SockaddrIn6 {
    fn to_std(&self) -> SocketAddr {
        SocketAddrV6::from(*self).into()
    }
}

struct Loop<A: Family> {
    is_wildcard: bool,
    received: MultiHeaders<A>,
    sent: MultiHeaders<A>,
    queries: Box<[[u8; QUERY_MAX]; BATCH]>,
    answers: Box<[[u8; ANSWER_MAX]; BATCH]>,
    /// Of the queries, then of the answers; so are the next two.
    lengths: [usize; BATCH],
    peers: [Option<A>; BATCH],
    /// Where each was asked; on a wildcard address only.
    locals: [Option<A::Local>; BATCH],
}

impl<A: PeerAddress> Loop<A> {
    fn new(is_wildcard: bool) -> Self {
        let room = || is_wildcard.then(A::room);
        Self {
            is_wildcard,
            received: MultiHeaders::preallocate(BATCH, room()),
            sent: MultiHeaders::preallocate(BATCH, room()),
            queries: Box::new([[0; QUERY_MAX]; BATCH]),
            answers: Box::new([[0; ANSWER_MAX]; BATCH]),
            lengths: [0; BATCH],
            peers: [None; BATCH],
            locals: [None; BATCH],
        }
    }

    fn run<S: EventSink>(
        &mut self,
        socket: &UdpSocket,
        pipeline: &mut Pipeline<S>,
        policy: &ArcSwapOption<Installed>,
        stop: &AtomicBool,
    ) {
        while !stop.load(Relaxed) {
            let received = self.receive(socket);
            // After `shutdown` the call gives messages that never were.
            if stop.load(Relaxed) {
                return;
            }
            match received {
                Ok(0) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Ok(queries) => {
                    let answers = self.answer(pipeline, policy, queries);
                    if answers > 0 {
                        pipeline.commit();
                        self.send_all(socket, pipeline, answers);
                    }
                }
                // Nothing that a datagram socket reports once is a reason to stop; it must not become a busy loop.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Takes a batch into `queries`; gives how many stand there.
    fn receive(&mut self, socket: &UdpSocket) -> Result<usize, Errno> {
        let mut slices = self
            .queries
            .each_mut()
            .map(|query| [IoSliceMut::new(query)]);
        let messages = recvmmsg(
            socket.as_raw_fd(),
            &mut self.received,
            &mut slices,
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;
        let mut count = 0;
        for message in messages {
            self.lengths[count] = message.bytes;
            self.peers[count] = message.address;
            if self.is_wildcard {
                let mut told = message.cmsgs().into_iter().flatten();
                self.locals[count] = told.find_map(|message| A::local(&message));
            }
            count += 1;
        }
        Ok(count)
    }

    /// Answers the first queries into `answers`; gives how many answers stand there.
    fn answer<S: EventSink>(
        &mut self,
        pipeline: &mut Pipeline<S>,
        policy: &ArcSwapOption<Installed>,
        queries: usize,
    ) -> usize {
        let policy = policy.load();
        let received = super::now();
        let lengths = self.lengths;
        let packets = || {
            let taken = self.queries.iter().zip(&lengths).take(queries);
            taken.map(|(query, &length)| &query[..length.min(QUERY_MAX)])
        };
        if let Some(policy) = policy.as_deref() {
            stages::look_ahead(packets(), policy);
        }
        let mut count = 0;
        for (place, packet) in packets().enumerate() {
            let Some(peer) = self.peers[place] else {
                continue;
            };
            let length = pipeline.process(
                packet,
                peer.to_std(),
                Transport::Udp,
                received,
                policy.as_deref(),
                &mut self.answers[count],
            );
            if length > 0 {
                // Answers never get ahead of the queries.
                self.lengths[count] = length;
                self.peers[count] = Some(peer);
                self.locals[count] = self.locals[place];
                count += 1;
            }
        }
        count
    }

    /// Sends the first answers; those that go out from one address together.
    fn send_all<S: EventSink>(&mut self, socket: &UdpSocket, pipeline: &Pipeline<S>, count: usize) {
        let mut done = 0;
        while done < count {
            let local = self.locals[done];
            let behind = if self.is_wildcard {
                let same = self.locals[done..count]
                    .iter()
                    .take_while(|&&other| other == local);
                done + same.count()
            } else {
                count
            };
            match local.map(A::packet_info) {
                Some(info) => self.send(socket, pipeline, done..behind, &[A::message(&info)]),
                None => self.send(socket, pipeline, done..behind, &[]),
            }
            done = behind;
        }
    }

    fn send<S: EventSink>(
        &mut self,
        socket: &UdpSocket,
        pipeline: &Pipeline<S>,
        mut places: Range<usize>,
        control: &[ControlMessage<'_>],
    ) {
        while !places.is_empty() {
            let answers = self.answers[places.clone()]
                .iter()
                .zip(&self.lengths[places.clone()]);
            let slices: Vec<[IoSlice<'_>; 1]> = answers
                .map(|(answer, &length)| [IoSlice::new(&answer[..length])])
                .collect();
            let sent = sendmmsg(
                socket.as_raw_fd(),
                &mut self.sent,
                &slices,
                &self.peers[places.clone()],
                control,
                MsgFlags::empty(),
            );
            match sent {
                Ok(messages) => places.start += messages.count().max(1),
                Err(Errno::EINTR) => {}
                // The first of them cannot be sent: its client is lost, not the others.
                Err(_) => {
                    pipeline.counters().add(Counter::SendFailed);
                    places.start += 1;
                }
            }
        }
    }
}

/// Wakes a thread that waits in `serve`.
pub fn wake(socket: &UdpSocket) {
    // Reports that the socket is not connected, and wakes all the same.
    let _ = nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
}
