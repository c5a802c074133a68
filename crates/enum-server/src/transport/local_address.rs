//! Which of the host's addresses a datagram came to, on a socket that is bound to all of them: the answer must come from
//! there, or the SBC does not know it for one (RFC 1035 leaves it open; RFC 2181, 4.1 demands it).
//!
//! Only sockets on a wildcard address need it; the others pay nothing for it.
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, SockaddrIn, SockaddrIn6, SockaddrLike, setsockopt, sockopt,
};

/// Addresses of one family with what tells where a datagram came to.
pub(super) trait Family: SockaddrLike + Copy {
    /// Where it came to.
    type Local: Copy + PartialEq;
    /// The same as the kernel has it.
    type PacketInfo;

    /// Asks the kernel to tell.
    fn ask(socket: &impl AsFd) -> nix::Result<()>;
    /// Room for one such message.
    fn room() -> Vec<u8>;
    /// What the kernel told.
    fn local(message: &ControlMessageOwned) -> Option<Self::Local>;
    /// What it is told for an answer.
    fn packet_info(local: Self::Local) -> Self::PacketInfo;
    /// As a message.
    fn message(info: &Self::PacketInfo) -> ControlMessage<'_>;
}

impl Family for SockaddrIn {
    type Local = Ipv4Addr;
    type PacketInfo = in_pktinfo;

    fn ask(socket: &impl AsFd) -> nix::Result<()> {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)
    }

    fn room() -> Vec<u8> {
        nix::cmsg_space!(in_pktinfo)
    }

    fn local(message: &ControlMessageOwned) -> Option<Ipv4Addr> {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(u32::from_be(info.ipi_spec_dst.s_addr).into())
            }
            _ => None,
        }
    }

    fn packet_info(local: Ipv4Addr) -> in_pktinfo {
        // Interface 0: as the routes say.
        in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: in_addr {
                s_addr: u32::from(local).to_be(),
            },
            ipi_addr: in_addr { s_addr: 0 },
        }
    }

    fn message(info: &in_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv4PacketInfo(info)
    }
}

impl Family for SockaddrIn6 {
    /// With the interface, which a link-local address means nothing without.
    type Local = (Ipv6Addr, u32);
    type PacketInfo = in6_pktinfo;

    fn ask(socket: &impl AsFd) -> nix::Result<()> {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)
    }

    fn room() -> Vec<u8> {
        nix::cmsg_space!(in6_pktinfo)
    }

    fn local(message: &ControlMessageOwned) -> Option<Self::Local> {
        match message {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                let interface = if address.is_unicast_link_local() {
                    info.ipi6_ifindex
                } else {
                    0
                };
                Some((address, interface))
            }
            _ => None,
        }
    }

    fn packet_info((address, interface): Self::Local) -> in6_pktinfo {
        in6_pktinfo {
            ipi6_addr: in6_addr {
                s6_addr: address.octets(),
            },
            ipi6_ifindex: interface as _,
        }
    }

    fn message(info: &in6_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv6PacketInfo(info)
    }
}
