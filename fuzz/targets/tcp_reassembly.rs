//! Segments in any order, with any numbers: bounded, and a stream in order gives its messages.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_probe::decode::{Flow, Packet, Transport};
use ringfence_probe::reassembly::tcp::{TcpLimits, TcpStreams};

fuzz_target!(|data: &[u8]| {
    let limits = TcpLimits { directions: 4, direction_octets: 4096, octets: 8192, hole_ns: 100 };
    let mut streams = TcpStreams::new(limits);
    let (mut rest, mut time_ns) = (data, 0);
    while let [side, flags, sequence, length, body @ ..] = rest {
        let (payload, next) = body.split_at(usize::from(*length).min(body.len()));
        let flow = Flow { source_port: 5060 + u16::from(side & 7), destination_port: 5060, ..Flow::default() };
        let flow = if side & 8 != 0 { flow.reversed() } else { flow };
        let sequence = u32::MAX.wrapping_add(u32::from(*sequence) * 8);
        let transport = Transport::Tcp { sequence, acknowledged: sequence ^ u32::from(*side), flags: *flags };
        let packet = Packet { time_ns, flow, transport, payload, missing: u32::from(side >> 6), vlan: 0 };
        streams.segment(&packet, &mut |message| assert!(message.octets.len() <= 1 << 18));
        assert!(streams.octets() <= 8192);
        time_ns += i64::from(*side);
        rest = next;
    }
});
