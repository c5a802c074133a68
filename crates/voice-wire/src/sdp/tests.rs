use super::*;

const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 10.10.0.11\r\ns=-\r\nc=IN IP4 10.10.0.11\r\nt=0 0\r\n\
m=audio 40000 RTP/AVP 8 0 18 96 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp:40007\r\n\
m=video 0 RTP/SAVPF 97\r\nc=IN IP6 2001:db8::1\r\na=inactive\r\na=rtcp-mux\r\nm=image 5000 udptl t38\r\n";

#[test]
fn media_have_their_own_lines_or_those_of_the_session() {
    let media: Vec<_> = Sdp::parse(OFFER).unwrap().media().collect();
    assert_eq!(media.len(), 3);
    assert_eq!(
        (media[0].kind, media[0].port, media[0].rtcp_port),
        (MediaKind::Audio, 40000, 40007)
    );
    assert_eq!(media[0].address, Some("10.10.0.11".parse().unwrap()));
    assert_eq!(media[0].direction, Direction::SendReceive);
    assert!(!media[0].is_held() && !media[0].is_encrypted());
    assert_eq!(media[1].address, Some("2001:db8::1".parse().unwrap()));
    assert!(media[1].is_held() && media[1].is_encrypted());
    assert_eq!(media[1].rtcp_port, 0);
    assert!(media[2].is_fax());
}

#[test]
fn codecs_come_from_rtpmap_else_from_the_static_table() {
    let audio = Sdp::parse(OFFER).unwrap().media().next().unwrap();
    let codecs = audio.codecs();
    let names: Vec<_> = codecs
        .iter()
        .map(|codec| (codec.payload_type, codec.name, codec.clock_rate))
        .collect();
    assert_eq!(
        names,
        [
            (8, b"PCMA".as_slice(), 8000),
            (0, b"PCMU", 8000),
            (18, b"G729", 8000),
            (96, b"opus", 48000),
            (101, b"telephone-event", 8000)
        ]
    );
    assert_eq!(codecs.voice().unwrap().payload_type, 8);
}

#[test]
fn hold_is_seen_in_its_old_and_new_form() {
    for (lines, held) in [
        ("c=IN IP4 0.0.0.0\r\nm=audio 4 RTP/AVP 0\r\n", true),
        (
            "c=IN IP4 1.2.3.4\r\na=sendonly\r\nm=audio 4 RTP/AVP 0\r\n",
            true,
        ),
        (
            "c=IN IP4 1.2.3.4\r\na=sendonly\r\nm=audio 4 RTP/AVP 0\r\na=sendrecv\r\n",
            false,
        ),
        ("c=IN IP4 1.2.3.4\nm=audio 4 RTP/AVP 0\na=recvonly\n", false),
    ] {
        let text = format!("v=0\n{lines}");
        let media = Sdp::parse(text.as_bytes()).unwrap().media().next().unwrap();
        assert_eq!(media.is_held(), held, "{lines}");
    }
}

#[test]
fn a_part_of_a_multipart_is_found() {
    let body = b"preamble\r\n--xx\r\nContent-Type: application/isup\r\n\r\n\x01\x00\r\n--xx\r\ncontent-type:APPLICATION/SDP\r\n\r\nv=0\r\nm=audio 7 RTP/AVP 0\r\n--xx--\r\n";
    let sdp = find(b"multipart/mixed; boundary=\"xx\"", body).unwrap();
    assert_eq!(Sdp::parse(sdp).unwrap().media().next().unwrap().port, 7);
    assert_eq!(find(b"multipart/mixed;boundary=yy", body), None);
    assert_eq!(find(b"text/plain", body), None);
}

#[test]
fn damaged_descriptions_are_read_as_far_as_they_go() {
    assert!(Sdp::parse(b"").is_none());
    assert!(Sdp::parse(b"m=audio 1 RTP/AVP 0").is_none());
    for line in [
        "m=audio",
        "m=audio x RTP/AVP 0",
        "m=audio 70000 RTP/AVP 0",
        "m=",
    ] {
        let text = format!("v=0\r\n{line}\r\n");
        assert_eq!(
            Sdp::parse(text.as_bytes()).unwrap().media().count(),
            0,
            "{line}"
        );
    }
}
