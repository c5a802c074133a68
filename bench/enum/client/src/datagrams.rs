//! Batches of datagrams: one system call for many (recvmmsg, sendmmsg).

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt,
};

/// Most datagrams in one system call.
pub const BATCH: usize = 64;
/// Room for one datagram.
pub const DATAGRAM: usize = 1536;
const SOCKET_BUFFER: usize = 4 << 20;

/// Datagrams of one batch: filled by `receive`, or by the caller before `send`.
pub struct Batch {
    // Two sets: sending leaves pointers to its addresses in the headers, which receiving would write through.
    incoming: MultiHeaders<SockaddrIn>,
    outgoing: MultiHeaders<SockaddrIn>,
    buffers: Vec<[u8; DATAGRAM]>,
    lengths: Vec<usize>,
    peers: Vec<Option<SockaddrIn>>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            incoming: MultiHeaders::preallocate(BATCH, None),
            outgoing: MultiHeaders::preallocate(BATCH, None),
            buffers: vec![[0; DATAGRAM]; BATCH],
            lengths: Vec::with_capacity(BATCH),
            peers: Vec::with_capacity(BATCH),
        }
    }
}

impl Batch {
    /// Number of datagrams in the batch.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether the batch holds none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether `push` has no room.
    pub fn is_full(&self) -> bool {
        self.lengths.len() == BATCH
    }

    /// Forget the datagrams.
    pub fn clear(&mut self) {
        self.lengths.clear();
        self.peers.clear();
    }

    /// The datagrams.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.buffers
            .iter()
            .zip(&self.lengths)
            .map(|(buffer, length)| &buffer[..*length])
    }

    /// Append a datagram to a connected peer; `write` fills it and returns its length.
    pub fn push(&mut self, write: impl FnOnce(&mut [u8; DATAGRAM]) -> usize) {
        if let Some(buffer) = self.buffers.get_mut(self.lengths.len()) {
            let length = write(buffer).min(DATAGRAM);
            self.lengths.push(length);
            self.peers.push(None);
        }
    }

    /// Turn each datagram into its answer where it stands; `answer` returns the new length, 0 for none.
    pub fn answer_each(&mut self, mut answer: impl FnMut(&mut [u8; DATAGRAM], usize) -> usize) {
        for (buffer, length) in self.buffers.iter_mut().zip(&mut self.lengths) {
            *length = answer(buffer, *length);
        }
    }

    /// Receive what is there, or with `wait` at least one datagram.
    pub fn receive(&mut self, socket: &UdpSocket, wait: bool) -> nix::Result<()> {
        self.clear();
        let flags = if wait {
            MsgFlags::MSG_WAITFORONE
        } else {
            MsgFlags::MSG_DONTWAIT
        };
        let mut slices: Vec<_> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        match recvmmsg(
            socket.as_raw_fd(),
            &mut self.incoming,
            slices.iter_mut(),
            flags,
            None,
        ) {
            Ok(received) => {
                for message in received {
                    self.lengths.push(message.bytes);
                    self.peers.push(message.address);
                }
                Ok(())
            }
            // Connected to a port that nobody has (yet): ICMP told so.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Send the datagrams; returns how many the kernel took, from the first on.
    pub fn send(&mut self, socket: &UdpSocket) -> nix::Result<usize> {
        let slices: Vec<_> = self
            .buffers
            .iter()
            .zip(&self.lengths)
            .map(|(buffer, length)| [IoSlice::new(&buffer[..*length])])
            .collect();
        let none: [ControlMessage; 0] = [];
        match sendmmsg(
            socket.as_raw_fd(),
            &mut self.outgoing,
            &slices,
            &self.peers,
            none,
            MsgFlags::empty(),
        ) {
            Ok(sent) => Ok(sent.count()),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED | Errno::ENOBUFS) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Leave out the first `count` datagrams.
    pub fn drop_first(&mut self, count: usize) {
        if count >= self.lengths.len() {
            self.clear();
            return;
        }
        self.buffers[..self.lengths.len()].rotate_left(count);
        self.lengths.drain(..count);
        self.peers.drain(..count);
    }

    /// Leave out datagrams of length 0 (no answer).
    pub fn drop_empty(&mut self) {
        let mut kept = 0;
        for index in 0..self.lengths.len() {
            if self.lengths[index] > 0 {
                if kept != index {
                    self.buffers.swap(kept, index);
                    self.lengths.swap(kept, index);
                    self.peers.swap(kept, index);
                }
                kept += 1;
            }
        }
        self.lengths.truncate(kept);
        self.peers.truncate(kept);
    }
}

/// Ask for large kernel buffers on both sides of a socket.
pub fn enlarge_buffers(socket: &UdpSocket) -> nix::Result<()> {
    setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER)?;
    setsockopt(socket, sockopt::SndBuf, &SOCKET_BUFFER)
}
