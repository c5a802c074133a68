//! UDP: a batch is received with one system call, decided, its events committed, and answered with one call.
//!
//! Each thread has its own socket on the same address (SO_REUSEPORT): the kernel spreads clients over them.
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::counters::Counter;
use crate::installed::Installed;
use crate::sink::EventSink;
use crate::stages::{Pipeline, Transport};
use crate::wire::response::ANSWER_MAX;

/// Queries taken with one call.
const BATCH: usize = 64;
/// Longest query read; a longer one is cut and then malformed.
const QUERY_MAX: usize = 1500;
/// Wanted socket buffers: a burst of some ten thousand queries.
const SOCKET_BUFFER: usize = 4 << 20;
/// How long a thread sleeps before it looks whether it should stop, in case the wake-up was missed.
const WAKE: Duration = Duration::from_millis(200);

/// Binds `count` sockets to one address. Refuses one that another process answers at already.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<UdpSocket>> {
    // SO_REUSEPORT would let a second server in quietly, and split the queries: try alone first.
    let alone = open(address, false)?;
    let address = alone.local_addr()?;
    drop(alone);
    (0..count).map(|_| open(address, true)).collect()
}

fn open(address: SocketAddr, is_shared: bool) -> io::Result<UdpSocket> {
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
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    }
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
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
    match socket.local_addr() {
        Ok(SocketAddr::V6(_)) => Loop::<SockaddrIn6>::new().run(socket, pipeline, policy, stop),
        _ => Loop::<SockaddrIn>::new().run(socket, pipeline, policy, stop),
    }
}

/// Addresses of one family, as the kernel writes them.
trait PeerAddress: SockaddrLike + Copy {
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

struct Loop<A> {
    received: MultiHeaders<A>,
    sent: MultiHeaders<A>,
    queries: Box<[[u8; QUERY_MAX]; BATCH]>,
    answers: Box<[[u8; ANSWER_MAX]; BATCH]>,
}

impl<A: PeerAddress> Loop<A> {
    fn new() -> Self {
        Self {
            received: MultiHeaders::preallocate(BATCH, None),
            sent: MultiHeaders::preallocate(BATCH, None),
            queries: Box::new([[0; QUERY_MAX]; BATCH]),
            answers: Box::new([[0; ANSWER_MAX]; BATCH]),
        }
    }

    fn run<S: EventSink>(
        &mut self,
        socket: &UdpSocket,
        pipeline: &mut Pipeline<S>,
        policy: &ArcSwapOption<Installed>,
        stop: &AtomicBool,
    ) {
        let mut lengths = [0; BATCH];
        let mut peers: [Option<A>; BATCH] = [None; BATCH];
        while !stop.load(Relaxed) {
            match self.receive(socket, pipeline, policy, stop, &mut lengths, &mut peers) {
                Ok(0) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Ok(count) => {
                    pipeline.commit();
                    self.send(socket, pipeline, &lengths[..count], &peers[..count]);
                }
                // Nothing that a datagram socket reports once is a reason to stop; it must not become a busy loop.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Takes a batch and answers it into `answers`; lengths and peers of the answers stand at the front.
    fn receive<S: EventSink>(
        &mut self,
        socket: &UdpSocket,
        pipeline: &mut Pipeline<S>,
        policy: &ArcSwapOption<Installed>,
        stop: &AtomicBool,
        lengths: &mut [usize; BATCH],
        peers: &mut [Option<A>; BATCH],
    ) -> Result<usize, Errno> {
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
        // After `shutdown` the call gives messages that never were.
        if stop.load(Relaxed) {
            return Ok(0);
        }
        let policy = policy.load();
        let received = super::now();
        let mut count = 0;
        for message in messages {
            let (Some(peer), Some(packet)) = (message.address, message.iovs().next()) else {
                continue;
            };
            let answer = &mut self.answers[count];
            let length = pipeline.process(
                packet,
                peer.to_std(),
                Transport::Udp,
                received,
                policy.as_deref(),
                answer,
            );
            if length > 0 {
                lengths[count] = length;
                peers[count] = Some(peer);
                count += 1;
            }
        }
        Ok(count)
    }

    fn send<S: EventSink>(
        &mut self,
        socket: &UdpSocket,
        pipeline: &Pipeline<S>,
        lengths: &[usize],
        peers: &[Option<A>],
    ) {
        let mut done = 0;
        while done < peers.len() {
            let answers = self.answers[done..].iter().zip(&lengths[done..]);
            let slices: Vec<[IoSlice<'_>; 1]> = answers
                .map(|(answer, &length)| [IoSlice::new(&answer[..length])])
                .collect();
            let sent = sendmmsg(
                socket.as_raw_fd(),
                &mut self.sent,
                &slices,
                &peers[done..],
                [],
                MsgFlags::empty(),
            );
            match sent {
                Ok(messages) => done += messages.count().max(1),
                Err(Errno::EINTR) => {}
                // The first of them cannot be sent: its client is lost, not the others.
                Err(_) => {
                    pipeline.counters().add(Counter::SendFailed);
                    done += 1;
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
