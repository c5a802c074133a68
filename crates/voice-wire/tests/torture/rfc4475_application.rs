//! RFC 4475, 3.2 to 3.4: transaction, application and backward compatibility. Most are valid: what they ask for is not.
use ringfence_voice_wire::sip::{Fault, Header, Uri};

use crate::{SDP, assert_invalid, assert_valid};

const BADBRANCH: &str = "
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK
Accept: application/sdp
Call-ID: badbranch.sadonfo23i420jv0as0derf3j3n
CSeq: 8 OPTIONS
l: 0

";

const UNKSCM: &str = "
OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0
To: sip:user@example.com
From: sip:caller@example.net;tag=384
Max-Forwards: 3
Call-ID: unkscm.nasdfasser0q239nwsdfasdkl34
CSeq: 3923423 OPTIONS
Via: SIP/2.0/TCP host9.example.com;branch=z9hG4bKkdjuw39234
Content-Length: 0

";

const UNKSM2: &str = "
REGISTER sip:example.com SIP/2.0
To: isbn:2983792873
From: <http://www.example.com>;tag=3234233
Call-ID: unksm2.daksdj@hyphenated-host.example.com
CSeq: 234902 REGISTER
Max-Forwards: 70
Via: SIP/2.0/UDP 192.0.2.21:5060;branch=z9hG4bKkdjuw
Contact: <name:John_Smith>
l: 0

";

const BEXT01: &str = "
OPTIONS sip:user@example.com SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.net;tag=242etr
Max-Forwards: 6
Call-ID: bext01.0ha0isndaksdj
Require: nothingSupportsThis, nothingSupportsThisEither
Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis
CSeq: 8 OPTIONS
Via: SIP/2.0/TLS fold-and-staple.example.com;branch=z9hG4bKkdjuw
Content-Length: 0

";

const INVUT: &str = "
INVITE sip:user@example.com SIP/2.0
Contact: <sip:caller@host5.example.net>
To: sip:j.user@example.com
From: sip:caller@example.net;tag=8392034
Max-Forwards: 70
Call-ID: invut.0ha0isndaksdjadsfij34n23d
CSeq: 235448 INVITE
Via: SIP/2.0/UDP somehost.example.com;branch=z9hG4bKkdjuw
Content-Type: application/unknownformat
Content-Length: {length}

<audio>
 <pcmu port=\"443\"/>
</audio>
";

const REGAUT01: &str = "
REGISTER sip:example.com SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=87321hj23128
Max-Forwards: 8
Call-ID: regaut01.0ha0isndaksdj
CSeq: 9338 REGISTER
Via: SIP/2.0/TCP 192.0.2.253;branch=z9hG4bKkdjuw
Authorization: NoOneKnowsThisScheme opaque-data=here
Content-Length:0

";

const MULTI01: &str = "
INVITE sip:user@company.com SIP/2.0
Contact: <sip:caller@host25.example.net>
Via: SIP/2.0/UDP 192.0.2.25;branch=z9hG4bKkdjuw
Max-Forwards: 70
CSeq: 5 INVITE
Call-ID: multi01.98asdh@192.0.2.1
CSeq: 59 INVITE
Call-ID: multi01.98asdh@192.0.2.2
From: sip:caller@example.com;tag=3413415
To: sip:user@example.com
To: sip:other@example.net
From: sip:caller@example.net;tag=2923420123
Content-Type: application/sdp
l: {length}
Contact: <sip:caller@host36.example.net>
Max-Forwards: 5

";

const MCL01: &str = "
OPTIONS sip:user@example.com SIP/2.0
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bK293423
To: sip:user@example.com
From: sip:other@example.net;tag=3923942
Call-ID: mcl01.fhn2323orihawfdoa3o4r52o3irsdf
CSeq: 15932 OPTIONS
Content-Length: 13
Max-Forwards: 60
Content-Length: 5
Content-Type: text/plain

There's no way to know how many octets are supposed to be here.
";

const BCAST: &str = "
SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23
Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: {length}
Content-Type: application/sdp
Contact: <sip:user@host28.example.com>

";

const ZEROMF: &str = "
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:caller@example.net;tag=3ghsd41
Call-ID: zeromf.jfasdlfnm2o2l43r5u0asdfas
CSeq: 39234321 OPTIONS
Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bKkdjuw2349i
Max-Forwards: 0
Content-Length: 0

";

const CPARAM: &str = "
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP saturn.example.com:5060;branch=z9hG4bKkdjuw
Max-Forwards: 70
From: sip:watson@example.com;tag=DkfVgjkrtMwaerKKpe
To: sip:watson@example.com
Call-ID: cparam.70710@saturn.example.com
CSeq: 2 REGISTER
Contact: CONTACT
l: 0

";

const SDP01: &str = "
INVITE sip:user@example.com SIP/2.0
To: sip:j_user@example.com
Contact: <sip:caller@host15.example.net>
From: sip:caller@example.net;tag=234
Max-Forwards: 5
Call-ID: sdp01.ndaksdj9342dasdd
Accept: text/nobodyKnowsThis
CSeq: 8 INVITE
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw
Content-Length: {length}
Content-Type: application/sdp

";

/// No Max-Forwards, no tag, no branch: RFC 2543 knew none of them.
const INV2543: &str = "
INVITE sip:UserB@example.com SIP/2.0
Via: SIP/2.0/UDP iftgw.example.com
From: <sip:+13035551111@ift.client.example.net;user=phone>
Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>
To: sip:+16505552222@ss1.example.net;user=phone
Call-ID: inv2543.1717@ift.client.example.com
CSeq: 56 INVITE
Content-Type: application/sdp

";

#[test]
fn rfc4475_3_2_to_3_4_well_formed_messages_are_valid() {
    let novelsc = UNKSCM.replace(
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "soap.beep://192.0.2.103:3002",
    );
    let (bcast, sdp01, inv2543) = (
        format!("{BCAST}{SDP}"),
        format!("{SDP01}{SDP}"),
        format!("{INV2543}{SDP}"),
    );
    let contact = |contact: &str| CPARAM.replace("CONTACT", contact);
    assert_valid(&[
        ("3.3.2 unkscm", UNKSCM),
        ("3.3.3 novelsc", &novelsc),
        ("3.3.4 unksm2", UNKSM2),
        ("3.3.5 bext01", BEXT01),
        ("3.3.6 invut", INVUT),
        ("3.3.7 regaut01", REGAUT01),
        ("3.3.10 bcast", &bcast),
        ("3.3.11 zeromf", ZEROMF),
        (
            "3.3.12 cparam01",
            &contact("sip:+19725552222@gw1.example.net;unknownparam"),
        ),
        (
            "3.3.13 cparam02",
            &contact("<sip:+19725552222@gw1.example.net;unknownparam>"),
        ),
        (
            "3.3.14 regescrt",
            &contact("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
        ),
        ("3.3.15 sdp01", &sdp01),
        ("3.4.1 inv2543", &inv2543),
    ]);
}

#[test]
fn rfc4475_3_2_and_3_3_broken_messages_are_refused() {
    let insuf = format!(
        "INVITE sip:user@example.com SIP/2.0\nCSeq: 193942 INVITE\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\nContent-Type: application/sdp\nl: {{length}}\n\n{SDP}"
    );
    let multi01 = format!("{MULTI01}{SDP}");
    assert_invalid(&[
        ("3.2.1 badbranch", Fault::Branch, BADBRANCH),
        ("3.3.1 insuf", Fault::Missing(Header::From), &insuf),
        ("3.3.8 multi01", Fault::Repeated(Header::From), &multi01),
        ("3.3.9 mcl01", Fault::Repeated(Header::ContentLength), MCL01),
    ]);
}

#[test]
fn a_parameter_belongs_to_the_uri_only_inside_brackets() {
    let bare =
        ringfence_voice_wire::sip::Address::parse(b"sip:+19725552222@gw1.example.net;unknownparam")
            .unwrap();
    assert_eq!(bare.parameter(b"unknownparam"), Some(b"".as_slice()));
    let bracketed = ringfence_voice_wire::sip::Address::parse(
        b"<sip:+19725552222@gw1.example.net;unknownparam>",
    )
    .unwrap();
    assert_eq!(bracketed.parameter(b"unknownparam"), None);
    assert_eq!(
        Uri::parse(bracketed.uri)
            .unwrap()
            .parameter(b"unknownparam"),
        Some(b"".as_slice())
    );
}
