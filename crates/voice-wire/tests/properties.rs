//! Whatever arrives, nothing panics, and what is said about it holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use ringfence_voice_wire::sdp::{CODECS_MAX, Sdp};
use ringfence_voice_wire::sip::{Address, Header, Message, check, frame, list, mask};
use ringfence_voice_wire::stir::Identity;

/// Octets as they could be, with the pieces that parsers trip over.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        proptest::sample::select(vec![
            b"INVITE sip:a@b SIP/2.0\r\n".as_slice(),
            b"SIP/2.0 200 OK\n",
            b"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n",
            b"f:",
            b"To : ",
            b"Call-ID",
            b"CSeq: 1 INVITE\r\n",
            b"l: 5\r\n",
            b"Content-Length: -1\r\n",
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b" ",
            b"\t",
            b"\"",
            b"\\",
            b"<",
            b">",
            b";tag=",
            b",",
            b"sip:",
            b"tel:+1",
            b"@",
            b"[::",
            b"]",
            b"%",
            b"Authorization: Digest x\r\n",
            b"v=0\r\n",
            b"m=audio 4 RTP/AVP 0 8 96\r\n",
            b"a=rtpmap:96 opus/48000\r\n",
            b"c=IN IP4 1.2.3.4\r\n",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn anything_can_be_read(octets in hostile()) {
        let _ = check(&octets);
        if let Ok(message) = Message::parse(&octets) {
            prop_assert!(message.body().len() <= octets.len());
            for header in [Header::From, Header::To, Header::Contact, Header::Via] {
                prop_assert_eq!(message.get(header), message.all(header).next());
            }
        }
        for item in list(&octets) {
            if let Some(address) = Address::parse(item) {
                let _ = (address.tag(), address.uri());
            }
        }
        if let Some(sdp) = Sdp::parse(&octets) {
            prop_assert!(sdp.media().all(|media| media.codecs().iter().count() <= CODECS_MAX));
        }
        let _ = Identity::parse(&octets);
    }

    #[test]
    fn masking_keeps_the_length_and_is_done_once(octets in hostile()) {
        let mut once = octets.clone();
        mask(&mut once);
        let mut twice = once.clone();
        mask(&mut twice);
        prop_assert_eq!(once.len(), octets.len());
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_stream_gives_the_same_messages_however_it_is_cut(bodies in proptest::collection::vec("[a-z\r\n]{0,20}", 1..5), step in 1usize..50) {
        let messages: Vec<Vec<u8>> = bodies.iter().map(|body| format!("BYE sip:a@b SIP/2.0\r\nl: {}\r\n\r\n{body}", body.len()).into_bytes()).collect();
        let stream = messages.concat();
        let (mut found, mut held) = (Vec::new(), Vec::new());
        for segment in stream.chunks(step) {
            held.extend_from_slice(segment);
            loop {
                let frame = frame(&held);
                held.drain(..frame.skip);
                let Some(length) = frame.length else { break };
                found.push(held.drain(..length).collect::<Vec<u8>>());
            }
        }
        prop_assert_eq!(found, messages);
        prop_assert!(held.is_empty());
    }
}
