//! SIP load: thousands of calls as a carrier link has them, with what is true of each.

use crate::pcap::{self, ETHERNET};
use crate::random::Random;
use crate::script::{MS, S};
use crate::wire;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::net::SocketAddr;

/// What is true of a call; times in nanoseconds since 1970, 0 for none.
#[derive(Clone, Debug)]
pub struct CallTruth {
    /// Call-ID.
    pub call_id: String,
    /// From.
    pub source: String,
    /// Request-URI.
    pub destination: String,
    /// Final status.
    pub status: u16,
    /// First INVITE.
    pub start_ns: i64,
    /// First 2xx.
    pub answer_ns: i64,
    /// First BYE or the refusal.
    pub end_ns: i64,
    /// 1 the caller, 2 the callee, 0 nobody.
    pub released_by: u8,
    /// 1 when challenged.
    pub challenges: u32,
    /// INVITEs inside the dialog.
    pub reinvites: u32,
}

/// A link's load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Calls.
    pub calls: u32,
    /// Calls a second.
    pub rate: f64,
    /// Seed.
    pub seed: u64,
}

/// Start of the load.
const START_NS: i64 = 1_795_046_400 * S;

/// Waits for its time to be written.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting(std::cmp::Reverse<(i64, u64)>, Vec<u8>);

/// Writes packets in the order of time while calls overlap.
struct Writer<'a, W> {
    out: &'a mut W,
    waiting: BinaryHeap<Waiting>,
    number: u64,
}

impl<W: Write> Writer<'_, W> {
    fn put(&mut self, at_ns: i64, frame: Vec<u8>) {
        self.number += 1;
        self.waiting
            .push(Waiting(std::cmp::Reverse((at_ns, self.number)), frame));
    }

    fn write_until(&mut self, until_ns: i64) -> io::Result<()> {
        while self
            .waiting
            .peek()
            .is_some_and(|first| first.0.0.0 < until_ns)
        {
            if let Some(Waiting(at, frame)) = self.waiting.pop() {
                let length = frame.len() as u32;
                self.out
                    .write_all(&pcap::record_header(at.0.0, length, length))?;
                self.out.write_all(&frame)?;
            }
        }
        Ok(())
    }
}

/// Writes the capture; gives packets and truths.
pub fn write(out: &mut impl Write, load: Load) -> io::Result<(u64, Vec<CallTruth>)> {
    out.write_all(&pcap::header(ETHERNET))?;
    let mut random = Random::new(load.seed);
    let mut writer = Writer {
        out,
        waiting: BinaryHeap::new(),
        number: 0,
    };
    let mut truths = Vec::with_capacity(load.calls as usize);
    let mut at_ns = START_NS;
    for number in 0..load.calls {
        at_ns += (random.wait(load.rate) * S as f64) as i64;
        writer.write_until(at_ns)?;
        truths.push(Dialog::new(number, at_ns, &mut random).play(&mut random, &mut writer));
        if number % 20 == 9 {
            ping(number, at_ns, &mut writer);
        }
    }
    writer.write_until(i64::MAX)?;
    Ok((writer.number, truths))
}

const AGENTS: [&str; 4] = [
    "Asterisk PBX 20.5.2",
    "FreeSWITCH-mod_sofia/1.10.11",
    "Cisco-SIPGateway/IOS-17.9.4a",
    "Yealink SIP-T46S 66.86",
];

struct Dialog {
    number: u32,
    start_ns: i64,
    ends: (SocketAddr, SocketAddr),
    call_id: String,
    tags: (String, String),
    users: (String, String),
    headers: String,
}

/// The way of a message: request or response, from whom.
#[derive(Clone, Copy)]
struct Way {
    is_forward: bool,
    has_to_tag: bool,
    has_body: bool,
    hold: bool,
}

impl Dialog {
    fn new(number: u32, start_ns: i64, random: &mut Random) -> Self {
        let inside = [10, 40, 0, 2 + (number % 4) as u8];
        let outside = [198, 51, 100, 1 + random.below(200) as u8];
        let pair = (
            SocketAddr::from((inside, 5060)),
            SocketAddr::from((outside, 5060)),
        );
        let ends = if random.chance(0.6) {
            pair
        } else {
            (pair.1, pair.0)
        };
        let users = (
            format!("+1212555{:04}", random.below(10_000)),
            format!("+4420{:08}", 70_000_000 + random.below(100_000)),
        );
        let mut headers = String::new();
        if random.chance(0.5) {
            headers += &format!(
                "P-Asserted-Identity: \"Desk {number}\" <sip:{}@{}>\r\n",
                users.0,
                ends.0.ip()
            );
        }
        if random.chance(0.05) {
            headers += &format!(
                "Diversion: <sip:+1305555{:04}@{}>;reason=no-answer\r\n",
                number % 10_000,
                ends.0.ip()
            );
        }
        Self {
            number,
            start_ns,
            ends,
            call_id: format!("{:016x}-{number:08x}@{}", random.bits(), ends.0.ip()),
            tags: (
                format!("{:x}", random.bits() >> 24),
                format!("{:x}", random.bits() >> 20),
            ),
            users,
            headers,
        }
    }

    fn sdp(&self, of_caller: bool, hold: bool) -> String {
        let end = if of_caller { self.ends.0 } else { self.ends.1 };
        let port = 10_000 + (self.number * 4) % 50_000 + if of_caller { 0 } else { 2 };
        let mode = if hold { "sendonly" } else { "sendrecv" };
        format!(
            "v=0\r\no=- {port} 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 0 18 101\r\n\
             a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-16\r\na=ptime:20\r\na={mode}\r\n",
            ip = end.ip()
        )
    }

    /// A message of the caller's dialog; requests of the callee have From and To exchanged.
    fn message(
        &self,
        first: &str,
        cseq: &str,
        asked_by_caller: bool,
        way: Way,
        extra: &str,
    ) -> Vec<u8> {
        let is_response = first.starts_with("SIP/2.0");
        let (here, there) = if asked_by_caller {
            self.ends
        } else {
            (self.ends.1, self.ends.0)
        };
        let caller = format!(
            "<sip:{}@{}>;tag={}",
            self.users.0,
            self.ends.0.ip(),
            self.tags.0
        );
        let tag = if way.has_to_tag {
            format!(";tag={}", self.tags.1)
        } else {
            String::new()
        };
        let callee = format!("<sip:{}@{}>{tag}", self.users.1, self.ends.1.ip());
        let (from, to) = if asked_by_caller {
            (caller, callee)
        } else {
            (callee, caller)
        };
        let first = if is_response {
            first.to_owned()
        } else {
            let user = if asked_by_caller {
                &self.users.1
            } else {
                &self.users.0
            };
            format!("{first} sip:{user}@{}:5060;user=phone SIP/2.0", there.ip())
        };
        let body = if way.has_body {
            self.sdp(way.is_forward, way.hold)
        } else {
            String::new()
        };
        let kind = if way.has_body {
            "Content-Type: application/sdp\r\n"
        } else {
            ""
        };
        let agent = AGENTS[(self.number as usize + usize::from(way.is_forward)) % AGENTS.len()];
        format!(
            "{first}\r\nVia: SIP/2.0/UDP {}:5060;branch=z9hG4bK{}{};rport\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\n\
             Call-ID: {}\r\nCSeq: {cseq}\r\nContact: <sip:{}@{}:5060>\r\n{extra}User-Agent: {agent}\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            here.ip(),
            self.tags.0,
            cseq.split(' ').next().unwrap_or_default(),
            self.call_id,
            self.users.0,
            here.ip(),
            body.len()
        )
        .into_bytes()
    }

    fn send<W: Write>(
        &self,
        writer: &mut Writer<'_, W>,
        at_ns: i64,
        is_forward: bool,
        message: &[u8],
    ) {
        let (source, destination) = if is_forward {
            self.ends
        } else {
            (self.ends.1, self.ends.0)
        };
        let identification = writer.number as u16;
        writer.put(
            at_ns,
            wire::udp_frame(source, destination, message, identification),
        );
    }

    fn play<W: Write>(&self, random: &mut Random, writer: &mut Writer<'_, W>) -> CallTruth {
        let way = Way {
            is_forward: true,
            has_to_tag: false,
            has_body: false,
            hold: false,
        };
        let (offer, back) = (
            Way {
                has_body: true,
                ..way
            },
            Way {
                is_forward: false,
                ..way
            },
        );
        let tagged = Way {
            has_to_tag: true,
            ..back
        };
        let acknowledge = Way {
            is_forward: true,
            ..tagged
        };
        let mut truth = self.truth();
        let mut now_ns = self.start_ns;
        let mut cseq = 1;
        if random.chance(0.1) {
            truth.challenges = 1;
            self.send(
                writer,
                now_ns,
                true,
                &self.message("INVITE", "1 INVITE", true, offer, &self.headers),
            );
            let nonce =
                "Proxy-Authenticate: Digest realm=\"example\", nonce=\"0a1b2c\", algorithm=MD5\r\n";
            let refusal = self.message(
                "SIP/2.0 407 Proxy Authentication Required",
                "1 INVITE",
                true,
                tagged,
                nonce,
            );
            self.send(writer, now_ns + 2 * MS, false, &refusal);
            self.send(
                writer,
                now_ns + 4 * MS,
                true,
                &self.message("ACK", "1 ACK", true, acknowledge, ""),
            );
            now_ns += 6 * MS;
            cseq = 2;
        }
        let invite = format!("{cseq} INVITE");
        let request = self.message("INVITE", &invite, true, offer, &self.headers);
        self.send(writer, now_ns, true, &request);
        if random.chance(0.01) {
            now_ns += 500 * MS;
            self.send(writer, now_ns, true, &request);
        }
        now_ns += random.between(1e6, 15e6) as i64;
        self.send(
            writer,
            now_ns,
            false,
            &self.message("SIP/2.0 100 Trying", &invite, true, back, ""),
        );
        now_ns += random.between(30e6, 1.5e9) as i64;
        self.send(
            writer,
            now_ns,
            false,
            &self.message("SIP/2.0 180 Ringing", &invite, true, tagged, ""),
        );
        now_ns += random.between(0.8e9, 12e9) as i64;
        let outcome = random.unit();
        let ack = format!("{cseq} ACK");
        if outcome < 0.72 {
            let answer = Way {
                has_body: true,
                ..tagged
            };
            self.send(
                writer,
                now_ns,
                false,
                &self.message("SIP/2.0 200 OK", &invite, true, answer, ""),
            );
            self.send(
                writer,
                now_ns + 9 * MS,
                true,
                &self.message("ACK", &ack, true, acknowledge, ""),
            );
            (truth.status, truth.answer_ns) = (200, now_ns);
            self.talk(random, writer, cseq, &mut truth);
        } else if outcome < 0.84 {
            let cancel = format!("{cseq} CANCEL");
            self.send(
                writer,
                now_ns,
                true,
                &self.message("CANCEL", &cancel, true, way, ""),
            );
            self.send(
                writer,
                now_ns + 2 * MS,
                false,
                &self.message("SIP/2.0 200 OK", &cancel, true, tagged, ""),
            );
            now_ns += 5 * MS;
            let refusal = self.message("SIP/2.0 487 Request Terminated", &invite, true, tagged, "");
            self.send(writer, now_ns, false, &refusal);
            self.send(
                writer,
                now_ns + 2 * MS,
                true,
                &self.message("ACK", &ack, true, acknowledge, ""),
            );
            (truth.status, truth.end_ns, truth.released_by) = (487, now_ns, 1);
        } else {
            let (status, words, cause) = REFUSALS[random.below(REFUSALS.len() as u64) as usize];
            let reason = format!("Reason: Q.850;cause={cause}\r\n");
            let refusal = self.message(
                &format!("SIP/2.0 {status} {words}"),
                &invite,
                true,
                tagged,
                &reason,
            );
            self.send(writer, now_ns, false, &refusal);
            self.send(
                writer,
                now_ns + 2 * MS,
                true,
                &self.message("ACK", &ack, true, acknowledge, ""),
            );
            (truth.status, truth.end_ns, truth.released_by) = (status, now_ns, 2);
        }
        truth
    }

    /// From the answer to the end.
    fn talk<W: Write>(
        &self,
        random: &mut Random,
        writer: &mut Writer<'_, W>,
        cseq: u32,
        truth: &mut CallTruth,
    ) {
        let seconds = (random.wait(1.0 / 60.0) + 1.0).min(600.0);
        let end_ns = truth.answer_ns + (seconds * S as f64) as i64;
        let tagged = Way {
            is_forward: true,
            has_to_tag: true,
            has_body: false,
            hold: false,
        };
        if seconds > 20.0 && random.chance(0.03) {
            truth.reinvites = 1;
            let at_ns = truth.answer_ns + 8 * S;
            let again = format!("{} INVITE", cseq + 1);
            let hold = Way {
                has_body: true,
                hold: true,
                ..tagged
            };
            self.send(
                writer,
                at_ns,
                true,
                &self.message("INVITE", &again, true, hold, ""),
            );
            let answer = Way {
                is_forward: false,
                has_body: true,
                ..tagged
            };
            self.send(
                writer,
                at_ns + 3 * MS,
                false,
                &self.message("SIP/2.0 200 OK", &again, true, answer, ""),
            );
            let ack = self.message("ACK", &format!("{} ACK", cseq + 1), true, tagged, "");
            self.send(writer, at_ns + 6 * MS, true, &ack);
        }
        if random.chance(0.005) {
            return; // its end was not captured
        }
        let by_caller = random.chance(0.6);
        let reason = if random.chance(0.5) {
            "Reason: Q.850;cause=16;text=\"NORMAL_CLEARING\"\r\n"
        } else {
            ""
        };
        let bye = format!("{} BYE", if by_caller { cseq + 2 } else { 101 });
        let way = Way {
            is_forward: by_caller,
            ..tagged
        };
        self.send(
            writer,
            end_ns,
            by_caller,
            &self.message("BYE", &bye, by_caller, way, reason),
        );
        let back = Way {
            is_forward: !by_caller,
            ..tagged
        };
        self.send(
            writer,
            end_ns + 7 * MS,
            !by_caller,
            &self.message("SIP/2.0 200 OK", &bye, by_caller, back, ""),
        );
        (truth.end_ns, truth.released_by) = (end_ns, if by_caller { 1 } else { 2 });
    }

    fn truth(&self) -> CallTruth {
        CallTruth {
            call_id: self.call_id.clone(),
            source: self.users.0.clone(),
            destination: self.users.1.clone(),
            status: 0,
            start_ns: self.start_ns,
            answer_ns: 0,
            end_ns: 0,
            released_by: 0,
            challenges: 0,
            reinvites: 0,
        }
    }
}

const REFUSALS: [(u16, &str, u8); 6] = [
    (486, "Busy Here", 17),
    (404, "Not Found", 1),
    (503, "Service Unavailable", 34),
    (603, "Decline", 21),
    (403, "Forbidden", 21),
    (480, "Temporarily Unavailable", 19),
];

/// Traffic that makes no call.
fn ping<W: Write>(number: u32, at_ns: i64, writer: &mut Writer<'_, W>) {
    let ends = (
        SocketAddr::from(([10, 40, 0, 9], 5060)),
        SocketAddr::from(([198, 51, 100, 250], 5060)),
    );
    let text = |first: &str, tag: &str| {
        format!(
            "{first}\r\nVia: SIP/2.0/UDP 10.40.0.9;branch=z9hG4bKo{number}\r\nFrom: <sip:ping@10.40.0.9>;tag=p{number}\r\n\
             To: <sip:198.51.100.250>{tag}\r\nCall-ID: ping-{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let request = text("OPTIONS sip:198.51.100.250 SIP/2.0", "");
    writer.put(
        at_ns,
        wire::udp_frame(ends.0, ends.1, request.as_bytes(), 1),
    );
    let answer = text("SIP/2.0 200 OK", ";tag=up");
    writer.put(
        at_ns + 9 * MS,
        wire::udp_frame(ends.1, ends.0, answer.as_bytes(), 2),
    );
}
