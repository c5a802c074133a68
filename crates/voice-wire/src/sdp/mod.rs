//! SDP (RFC 8866, formerly 4566): who wants to receive what media where.
//!
//! Zero-copy and lazy like `sip`: a description is split into its session part and one part for each `m=`; lines that
//! are not needed are not read.
mod codec;
mod multipart;

use core::net::{IpAddr, Ipv4Addr};

use memchr::{memchr, memmem};

pub use codec::{CODECS_MAX, Codec, Codecs};
pub use multipart::find;

use crate::sip::number;

/// A session description.
#[derive(Debug, Clone, Copy)]
pub struct Sdp<'a> {
    session: &'a [u8],
    media: &'a [u8],
}

/// What kind of media an `m=` line describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum MediaKind {
    Audio,
    Video,
    /// `image`: T.38 when the format says so.
    Image,
    Other,
}

/// Who sends, seen from the one who wrote the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Direction {
    SendReceive,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

/// One `m=` with its lines.
#[derive(Debug, Clone, Copy)]
pub struct Media<'a> {
    /// Audio, video, image.
    pub kind: MediaKind,
    /// 0: refused, or put away.
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl`, …
    pub protocol: &'a [u8],
    /// Payload types or formats, as written.
    pub formats: &'a [u8],
    /// Where it is to be sent: the media's `c=`, else the session's; `None` when that is a name or missing.
    pub address: Option<IpAddr>,
    /// The media's direction, else the session's, else both ways.
    pub direction: Direction,
    /// Where RTCP goes: `a=rtcp`, the RTP port with `a=rtcp-mux`, else the port behind it.
    pub rtcp_port: u16,
    lines: &'a [u8],
}

impl<'a> Sdp<'a> {
    /// Takes a description that begins with `v=`.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let body = body.trim_ascii_start();
        if !body.starts_with(b"v=") {
            return None;
        }
        let first = next_media(body).unwrap_or(body.len());
        let (session, media) = body.split_at_checked(first)?;
        Some(Self { session, media })
    }

    /// The media in their order.
    pub fn media(&self) -> impl Iterator<Item = Media<'a>> + use<'a> {
        let session = Section::read(self.session);
        let mut rest = self.media;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = next_media(rest).unwrap_or(rest.len());
            let (section, tail) = rest.split_at_checked(end)?;
            rest = tail;
            Some(section)
        })
        .filter_map(move |section| Media::parse(section, &session))
    }
}

impl<'a> Media<'a> {
    fn parse(section: &'a [u8], session: &Section) -> Option<Self> {
        let (line, lines) = split_line(section);
        let mut words = line
            .get(2..)?
            .splitn(4, |octet| *octet == b' ')
            .map(<[u8]>::trim_ascii);
        let kind = match words.next()? {
            b"audio" => MediaKind::Audio,
            b"video" => MediaKind::Video,
            b"image" => MediaKind::Image,
            _ => MediaKind::Other,
        };
        // `49170/2`: consecutive ports, the first counts.
        let port = words.next()?.split(|octet| *octet == b'/').next()?;
        let port = u16::try_from(number(port)?).ok()?;
        let own = Section::read(lines);
        Some(Self {
            kind,
            port,
            protocol: words.next()?,
            formats: words.next().unwrap_or_default(),
            address: own.address.or(session.address),
            direction: own
                .direction
                .or(session.direction)
                .unwrap_or(Direction::SendReceive),
            rtcp_port: own.rtcp_port.unwrap_or(if own.has_rtcp_mux {
                port
            } else {
                port.wrapping_add(1)
            }),
            lines,
        })
    }

    /// The codecs offered, in their order of preference.
    pub fn codecs(&self) -> Codecs<'a> {
        Codecs::read(self.formats, self.lines)
    }

    /// SRTP is asked for (RFC 3711, 5124).
    pub fn is_encrypted(&self) -> bool {
        memmem::find(self.protocol, b"SAVP").is_some()
    }

    /// Fax over UDPTL or TCP (T.38).
    pub fn is_fax(&self) -> bool {
        self.kind == MediaKind::Image && self.formats.trim_ascii().eq_ignore_ascii_case(b"t38")
    }

    /// The other side is not to be heard: a direction without receiving, or the unspecified address of RFC 2543.
    pub fn is_held(&self) -> bool {
        matches!(self.direction, Direction::SendOnly | Direction::Inactive)
            || self.address == Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// The lines of a session or of one media that matter here.
#[derive(Debug, Clone, Copy, Default)]
struct Section {
    address: Option<IpAddr>,
    direction: Option<Direction>,
    rtcp_port: Option<u16>,
    has_rtcp_mux: bool,
}

impl Section {
    #[inline]
    fn read(lines: &[u8]) -> Self {
        let mut section = Self::default();
        let mut rest = lines;
        while !rest.is_empty() {
            let (line, tail) = split_line(rest);
            rest = tail;
            match line {
                [b'c', b'=', value @ ..] if section.address.is_none() => {
                    section.address = connection(value)
                }
                b"a=sendrecv" => section.direction = Some(Direction::SendReceive),
                b"a=sendonly" => section.direction = Some(Direction::SendOnly),
                b"a=recvonly" => section.direction = Some(Direction::ReceiveOnly),
                b"a=inactive" => section.direction = Some(Direction::Inactive),
                b"a=rtcp-mux" => section.has_rtcp_mux = true,
                [b'a', b'=', b'r', b't', b'c', b'p', b':', value @ ..] => {
                    let port = value.split(|octet| *octet == b' ').next();
                    section.rtcp_port = port.and_then(number).and_then(|port| port.try_into().ok());
                }
                _ => {}
            }
        }
        section
    }
}

/// `IN IP4 192.0.2.1` or `IN IP6 2001:db8::1`; multicast comes with `/ttl`.
fn connection(value: &[u8]) -> Option<IpAddr> {
    let mut words = value
        .split(|octet| *octet == b' ')
        .filter(|word| !word.is_empty());
    let (_network, _kind) = (words.next()?, words.next()?);
    let address = words.next()?.split(|octet| *octet == b'/').next()?;
    core::str::from_utf8(address).ok()?.parse().ok()
}

/// Offset of the next line that starts with `m=`, not counting the first line.
fn next_media(section: &[u8]) -> Option<usize> {
    memmem::find(section, b"\nm=").map(|at| at + 1)
}

#[inline]
fn split_line(rest: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', rest) {
        Some(end) => {
            let (line, tail) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            (line.trim_ascii_end(), tail)
        }
        None => (rest.trim_ascii_end(), &[]),
    }
}

#[cfg(test)]
mod tests;
