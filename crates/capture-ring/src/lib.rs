//! The kernel's packet ring: `AF_PACKET` with `TPACKET_V3`, as safe Rust.
//!
//! Stands before everything else of a live probe. The only crate with `unsafe`: the ring is memory that the kernel writes.
//!
//! ```text
//! kernel ─ fills a block, sets USER ─► Ring::next_block ─► Block::frames ─► drop(Block) sets KERNEL
//! ```
//! A block belongs to the kernel or to us, as its status says; frames can be borrowed from a [`Block`] only while it is
//! ours, and it goes back when it is dropped. Offsets inside a block come from the kernel and are checked all the same.
#![cfg(target_os = "linux")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod filter;
mod options;

pub use filter::{Filter, FilterError};
pub use options::{Fanout, RingOptions};

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What the kernel counted since the last time it was asked.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct RingStatistics {
    /// Packets that the filter let pass, dropped ones too.
    pub packets: u32,
    /// Packets dropped because the ring was full.
    pub drops: u32,
    /// Times that the ring was full.
    pub freezes: u32,
}

/// A frame in the ring.
#[derive(Clone, Copy, Debug)]
pub struct RingFrame<'a> {
    /// Time of arrival, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// From the link header on.
    pub data: &'a [u8],
    /// Length on the wire.
    pub wire_length: u32,
    /// VLAN id of a tag that the kernel or the card took off, 0 for none.
    pub vlan: u16,
}

/// A socket with its ring.
#[derive(Debug)]
pub struct Ring {
    socket: OwnedFd,
    map: Map,
    block_octets: usize,
    blocks: usize,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone; nothing about it is bound to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Opens a socket on an interface and maps its ring. Needs CAP_NET_RAW.
    pub fn open(options: &RingOptions) -> io::Result<Self> {
        options::open(options)
    }

    /// The next block with packets in it, waiting up to `timeout`.
    pub fn next_block(&mut self, timeout: Duration) -> io::Result<Option<Block<'_>>> {
        if !self.is_ours() {
            let mut poll = libc::pollfd {
                fd: self.socket.as_raw_fd(),
                events: libc::POLLIN | libc::POLLERR,
                revents: 0,
            };
            let timeout_ms = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
            // SAFETY: one pollfd, valid for the call.
            let ready = unsafe { libc::poll(&raw mut poll, 1, timeout_ms) };
            if ready < 0 {
                let error = io::Error::last_os_error();
                return if error.kind() == io::ErrorKind::Interrupted {
                    Ok(None)
                } else {
                    Err(error)
                };
            }
            if poll.revents & libc::POLLERR != 0 && !self.is_ours() {
                return Err(self.socket_error());
            }
            if !self.is_ours() {
                return Ok(None);
            }
        }
        let at = self.next * self.block_octets;
        self.next = (self.next + 1) % self.blocks;
        Ok(Some(Block { ring: self, at }))
    }

    /// What the kernel counted since the last call.
    pub fn statistics(&self) -> io::Result<RingStatistics> {
        let mut raw = libc::tpacket_stats_v3 {
            tp_packets: 0,
            tp_drops: 0,
            tp_freeze_q_cnt: 0,
        };
        let mut length = size_of_val(&raw) as libc::socklen_t;
        // SAFETY: `raw` is as long as `length` says and lives through the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut raw).cast(),
                &raw mut length,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(RingStatistics {
            packets: raw.tp_packets,
            drops: raw.tp_drops,
            freezes: raw.tp_freeze_q_cnt,
        })
    }

    fn socket_error(&self) -> io::Error {
        let mut code: libc::c_int = 0;
        let mut length = size_of_val(&code) as libc::socklen_t;
        // SAFETY: `code` is as long as `length` says and lives through the call.
        unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut code).cast(),
                &raw mut length,
            );
        }
        io::Error::from_raw_os_error(if code == 0 { libc::ENETDOWN } else { code })
    }

    /// Whether the next block has been given to us.
    fn is_ours(&self) -> bool {
        self.status(self.next * self.block_octets)
            .load(Ordering::Acquire)
            & libc::TP_STATUS_USER
            != 0
    }

    /// The word by which a block is handed to and fro.
    fn status(&self, at: usize) -> &AtomicU32 {
        let offset = at + std::mem::offset_of!(libc::tpacket_block_desc, hdr);
        // SAFETY: inside the mapping (`at` is the start of a block), aligned since blocks are pages; the kernel writes it
        // with a barrier, and we only touch it as an atomic.
        unsafe { &*self.map.start.as_ptr().add(offset).cast::<AtomicU32>() }
    }
}

/// A block of packets that is ours until it is dropped.
#[derive(Debug)]
pub struct Block<'r> {
    ring: &'r Ring,
    at: usize,
}

impl Block<'_> {
    /// The packets in it.
    pub fn frames(&self) -> Frames<'_> {
        // SAFETY: the block is ours until this value is dropped (the status said so with acquire ordering), and the kernel
        // does not write to it meanwhile; it lies inside the mapping.
        let octets = unsafe {
            std::slice::from_raw_parts(
                self.ring.map.start.as_ptr().add(self.at),
                self.ring.block_octets,
            )
        };
        let head = std::mem::offset_of!(libc::tpacket_block_desc, hdr);
        Frames {
            octets,
            left: field(
                octets,
                head + std::mem::offset_of!(libc::tpacket_hdr_v1, num_pkts),
            ),
            at: field(
                octets,
                head + std::mem::offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt),
            ) as usize,
        }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.ring
            .status(self.at)
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// Goes through the packets of a block.
#[derive(Debug)]
pub struct Frames<'a> {
    octets: &'a [u8],
    left: u32,
    at: usize,
}

/// A word of the block, 0 outside of it.
fn field(octets: &[u8], at: usize) -> u32 {
    octets
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map_or(0, |word| u32::from_ne_bytes(*word))
}

impl<'a> Iterator for Frames<'a> {
    type Item = RingFrame<'a>;

    #[inline]
    fn next(&mut self) -> Option<RingFrame<'a>> {
        use std::mem::offset_of;
        self.left = self.left.checked_sub(1)?;
        let head = self.octets.get(self.at..)?;
        let captured = field(head, offset_of!(libc::tpacket3_hdr, tp_snaplen)) as usize;
        let mac = head
            .get(offset_of!(libc::tpacket3_hdr, tp_mac)..)?
            .first_chunk::<2>()?;
        let mac = usize::from(u16::from_ne_bytes(*mac));
        let seconds = field(head, offset_of!(libc::tpacket3_hdr, tp_sec));
        let nanoseconds = field(head, offset_of!(libc::tpacket3_hdr, tp_nsec));
        let status = field(head, offset_of!(libc::tpacket3_hdr, tp_status));
        let tag = field(
            head,
            offset_of!(libc::tpacket3_hdr, hv1)
                + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci),
        );
        let frame = RingFrame {
            time_ns: i64::from(seconds) * 1_000_000_000 + i64::from(nanoseconds),
            data: head.get(mac..mac + captured)?,
            wire_length: field(head, offset_of!(libc::tpacket3_hdr, tp_len)),
            vlan: if status & libc::TP_STATUS_VLAN_VALID != 0 {
                (tag & 0x0fff) as u16
            } else {
                0
            },
        };
        let step = field(head, offset_of!(libc::tpacket3_hdr, tp_next_offset)) as usize;
        self.at = if step == 0 {
            self.octets.len()
        } else {
            self.at + step
        };
        Some(frame)
    }
}

/// Memory shared with the kernel; unmapped when dropped.
#[derive(Debug)]
struct Map {
    start: NonNull<u8>,
    length: usize,
}

impl Map {
    fn new(socket: &OwnedFd, length: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping of the socket's ring; the address is the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                socket.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast())
            .ok_or_else(|| io::Error::other("the ring was mapped at 0"))?;
        Ok(Self { start, length })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A raw socket, closed on drop.
fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain call; protocol 0 receives nothing before the socket is bound.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}
