//! How a ring is opened: interface, size, fanout, filter.

use crate::{Filter, Map, Ring, packet_socket};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// How to capture.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// Name of the interface; a bond shows the packets of all its members.
    pub interface: String,
    /// Memory for packets (default 64 MiB), rounded to whole blocks.
    pub ring_octets: usize,
    /// A block is handed over when it is full, or so many milliseconds old (default 20).
    pub block_timeout_ms: u32,
    /// See packets that are not for this machine (default yes).
    pub is_promiscuous: bool,
    /// Packets to take.
    pub filter: Option<Filter>,
    /// Shares the interface's packets with other rings.
    pub fanout: Option<Fanout>,
}

/// A group of sockets that share packets by the hash of addresses and ports, both directions alike; fragments are put
/// together before, so that they stay with their flow.
#[derive(Clone, Copy, Debug)]
pub struct Fanout {
    /// Names the group within the network namespace.
    pub group: u16,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self {
            interface: String::new(),
            ring_octets: 64 << 20,
            block_timeout_ms: 20,
            is_promiscuous: true,
            filter: None,
            fanout: None,
        }
    }
}

/// Large enough for a full jumbo frame, a whole number of pages, a power of two.
const BLOCK: usize = 1 << 20;
const FRAME: usize = 2048;
const LOOPBACK: libc::c_ushort = 772;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

pub(crate) fn open(options: &RingOptions) -> io::Result<Ring> {
    let index = interface_index(&options.interface)?;
    let socket = packet_socket()?;
    if let Some(filter) = &options.filter {
        filter.attach(&socket)?;
    }
    set(
        &socket,
        libc::PACKET_VERSION,
        &(libc::tpacket_versions::TPACKET_V3 as libc::c_int),
    )?;
    let blocks = (options.ring_octets / BLOCK).max(2);
    let request = libc::tpacket_req3 {
        tp_block_size: BLOCK as u32,
        tp_block_nr: blocks as u32,
        tp_frame_size: FRAME as u32,
        tp_frame_nr: (blocks * (BLOCK / FRAME)) as u32,
        tp_retire_blk_tov: options.block_timeout_ms.max(1),
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(&socket, libc::PACKET_RX_RING, &request)?;
    let map = Map::new(&socket, blocks * BLOCK)?;
    // On loopback every packet is seen going out and coming in.
    if is_loopback(&options.interface) {
        set(&socket, PACKET_IGNORE_OUTGOING, &1_i32)?;
    }
    if options.is_promiscuous {
        let request = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(&socket, libc::PACKET_ADD_MEMBERSHIP, &request)?;
    }
    bind(&socket, index)?;
    if let Some(fanout) = options.fanout {
        let kind = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG;
        set(
            &socket,
            libc::PACKET_FANOUT,
            &(u32::from(fanout.group) | kind << 16),
        )?;
    }
    Ok(Ring {
        socket,
        map,
        block_octets: BLOCK,
        blocks,
        next: 0,
    })
}

fn interface_index(name: &str) -> io::Result<i32> {
    let text = CString::new(name).map_err(io::Error::other)?;
    // SAFETY: a string that ends with NUL and lives through the call.
    match unsafe { libc::if_nametoindex(text.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => i32::try_from(index).map_err(io::Error::other),
    }
}

fn is_loopback(name: &str) -> bool {
    let kind = std::fs::read_to_string(format!("/sys/class/net/{name}/type")).unwrap_or_default();
    kind.trim().parse() == Ok(LOOPBACK)
}

fn bind(socket: &OwnedFd, index: i32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address is as long as said and lives through the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value is as long as said and lives through the call; the options used here take just such values.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
