//! RFC 4475, 3.1.1: valid messages.
use ringfence_voice_wire::sdp::{Sdp, find};
use ringfence_voice_wire::sip::{Address, CSeq, Header, Method, StartLine, Uri, Via, check, list};

use crate::{SDP, assert_valid, octets};

const WSINV: &str = r#"
INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : {length}
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

"#;

const INTMETH: &str = "
!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0
Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~
To: \"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{44e}\u{449}\u{438}\u{439}\";tag=_token~1'+`*%!-.
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
Max-Forwards: 255
extensionHeader-!.%*+_`'~:\u{fe}\u{ff}
Content-Length: 0

";

const ESC01: &str = "
INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0
To: sip:%75se%72@example.com
From: <sip:I%20have%20spaces@example.net>;tag=938
Max-Forwards: 87
i: esc01.239409asdfakjkn23onasd0-3234
CSeq: 234234 INVITE
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw
C: application/sdp
Contact:
  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>
Content-Length: {length}

";

const ESCNULL: &str = "
REGISTER sip:example.com SIP/2.0
To: sip:null-%00-null@example.com
From: sip:null-%00-null@example.com;tag=839923423
Max-Forwards: 70
Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd
CSeq: 14398234 REGISTER
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw
Contact: <sip:%00@host5.example.com>
Contact: <sip:%00%00@host5.example.com>
L:0

";

const ESC02: &str = "
RE%47IST%45R sip:registrar.example.com SIP/2.0
To: \"%Z%45\" <sip:resource@example.com>
From: \"%Z%45\" <sip:resource@example.com>;tag=f232jadfj23
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234
CSeq: 29344 RE%47IST%45R
Max-Forwards: 70
Contact: <sip:alias1@host1.example.com>
C%6Fntact: <sip:alias2@host2.example.com>
Contact: <sip:alias3@host3.example.com>
l: 0

";

const LWSDISP: &str = "
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: caller<sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: lwsdisp.1234abcd@funky.example.com
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw
l: 0

";

const SEMIURI: &str = "
OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Call-ID: semiuri.0ha0isndaksdj
CSeq: 8 OPTIONS
Accept: application/sdp, application/pkcs7-mime, multipart/mixed, multipart/signed, message/sip, message/sipfrag
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw
l: 0

";

const TRANSPORTS: &str = "
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: <sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: transports.kijh4akdnaqjkwendsasfdj
Accept: application/sdp
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee
l: 0

";

const UNREASON: &str = "
SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e} \u{434}\u{435}\u{432}\u{44f}\u{43d}\u{43e}\u{441}\u{442}\u{43e} \u{434}\u{435}\u{432}\u{44f}\u{442}\u{44c} - \u{43f}\u{440}\u{43e}\u{441}\u{442}\u{43e}\u{435}
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Call-ID: unreason.1234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: {length}
Content-Type: application/sdp
Contact: <sip:user@host198.example.com>

";

const NOREASON: &str = "
SIP/2.0 100\x20
Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe
Call-ID: noreason.asndj203insdf99223ndf
CSeq: 35 INVITE
From: <sip:user@example.com>;tag=39ansfi3
To: <sip:user@example.edu>;tag=902jndnke3
Content-Length: 0
Contact: <sip:user@host105.example.com>

";

fn with_sdp(text: &str) -> String {
    format!("{text}{SDP}")
}

#[test]
fn rfc4475_3_1_1_valid_messages_are_valid() {
    let (wsinv, esc01, unreason) = (with_sdp(WSINV), with_sdp(ESC01), with_sdp(UNREASON));
    assert_valid(&[
        ("3.1.1.1 wsinv", &wsinv),
        ("3.1.1.2 intmeth", INTMETH),
        ("3.1.1.3 esc01", &esc01),
        ("3.1.1.4 escnull", ESCNULL),
        ("3.1.1.5 esc02", ESC02),
        ("3.1.1.6 lwsdisp", LWSDISP),
        ("3.1.1.7 longreq", &longreq()),
        ("3.1.1.8 dblreq", &dblreq()),
        ("3.1.1.9 semiuri", SEMIURI),
        ("3.1.1.10 transports", TRANSPORTS),
        ("3.1.1.11 mpart01", &mpart01()),
        ("3.1.1.12 unreason", &unreason),
        ("3.1.1.13 noreason", NOREASON),
    ]);
}

fn longreq() -> String {
    with_sdp(&format!(
        "
INVITE sip:user@example.com SIP/2.0
To: \"I have a user name of {extreme} proportion\"
<sip:user@example.com:6000;unknownparam1={very}longvalue;longparam{long}name=shortvalue;very{long}ParameterNameWithNoValue>
F: sip:{amazing}longcallername@example.net;tag=12{naught}23;unknownheaderparam{name}=unknownheaderparam{value};unknownValuelessparam{name}
Call-ID: longreq.one{really}longcallid
CSeq: 3882340 INVITE
Unknown{long}Name: unknown{long}value; unknown-{long}-parameter-name = unknown-{long}-parameter-value
Via: SIP/2.0/TCP sip33.example.com
v: SIP/2.0/TCP sip32.example.com
V: SIP/2.0/TCP sip31.example.com
Max-Forwards: 70
Contact: <sip:{amazing}longcallername@host5.example.net>
Content-Type: application/sdp
l: {{length}}

",
        extreme = "extreme".repeat(10),
        very = "very".repeat(20),
        long = "long".repeat(25),
        amazing = "amazinglylong".repeat(5),
        naught = "9".repeat(50),
        name = "name".repeat(20),
        value = "value".repeat(15),
        really = "really".repeat(20),
    ))
    .replace("proportion\"\n<", "proportion\"\n <")
}

/// The octets behind Content-Length are not part of the message.
fn dblreq() -> String {
    format!(
        "
REGISTER sip:example.com SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=43251j3j324
Max-Forwards: 8
I: dblreq.0ha0isndaksdj99sdfafnl3lk233412
Contact: sip:j.user@host.example.com
CSeq: 8 REGISTER
Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492
Content-Length: 0


INVITE sip:joe@example.com SIP/2.0
t: sip:joe@example.com
From: sip:caller@example.net;tag=141334
Max-Forwards: 8
Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15
CSeq: 8 INVITE
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234
Content-Type: application/sdp
Content-Length: 150

{SDP}"
    )
}

fn mpart01() -> String {
    "
MESSAGE sip:kumiko@example.org SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport
Max-Forwards: 70
Route: <sip:127.0.0.1:5080>
Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvYjcBUaZngQmXc9WNZSDNGCzA+fWl9MEUHWIZo1CeJebdY/XlgKeTa0Olvq0rt70Q5jiSfbqMJmQFteeivUhkMWYUA=
Contact: <sip:fluffy@127.0.0.1:5070>
To: <sip:kumiko@example.org>
From: <sip:fluffy@example.com>;tag=2fb0dcc9
Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..
CSeq: 1 MESSAGE
Content-Transfer-Encoding: binary
Content-Type: multipart/mixed;boundary=7a9cbec02ceef655
Date: Sat, 15 Oct 2005 04:44:56 GMT
User-Agent: SIPimp.org/0.2.5 (curses)
Content-Length: {length}

--7a9cbec02ceef655
Content-Type: text/plain
Content-Transfer-Encoding: binary

Hello
--7a9cbec02ceef655
Content-Type: application/octet-stream
Content-Transfer-Encoding: binary

0\u{82}\u{0}R\u{6}\t*\u{86}H\u{86}\u{f7}\r\u{1}\u{7}\u{2}\u{a0}
--7a9cbec02ceef655--
"
    .to_owned()
}

#[test]
fn the_short_tortuous_invite_means_what_it_means() {
    let octets = octets(&with_sdp(WSINV));
    let message = check(&octets).unwrap();
    let StartLine::Request {
        method: Method::Invite,
        uri,
        ..
    } = message.start()
    else {
        panic!("INVITE")
    };
    assert_eq!(Uri::parse(uri).unwrap().user, b"vivekg");
    let from = Address::parse(message.get(Header::From).unwrap()).unwrap();
    assert_eq!(
        (from.name, from.tag()),
        (br#"J Rosenberg \\\""#.as_slice(), b"98asjd8".as_slice())
    );
    assert_eq!(
        Address::parse(message.get(Header::To).unwrap())
            .unwrap()
            .tag(),
        b"1918181833n"
    );
    assert_eq!(
        CSeq::parse(message.get(Header::CSeq).unwrap())
            .unwrap()
            .number,
        9
    );
    let vias: Vec<_> = message
        .all(Header::Via)
        .flat_map(list)
        .map(|via| Via::parse(via).unwrap())
        .collect();
    let branches: Vec<_> = vias.iter().map(|via| via.branch).collect();
    assert_eq!(
        branches,
        [b"390skdjuw".as_slice(), b"z9hG4bK9ikj8", b"z9hG4bK30239"]
    );
    let contact = Address::parse(message.get(Header::Contact).unwrap()).unwrap();
    assert_eq!(contact.parameter(b"newparam"), Some(b"newvalue".as_slice()));
    let sdp = find(message.get(Header::ContentType).unwrap(), message.body()).unwrap();
    assert_eq!(Sdp::parse(sdp).unwrap().media().count(), 2);
}

#[test]
fn what_follows_content_length_is_not_read() {
    let octets = octets(&dblreq());
    let message = check(&octets).unwrap();
    assert!(message.body().is_empty());
    assert_eq!(
        message.get(Header::CallId),
        Some(b"dblreq.0ha0isndaksdj99sdfafnl3lk233412".as_slice())
    );
    assert_eq!(
        message.get(Header::To),
        Some(b"sip:j.user@example.com".as_slice())
    );
}

#[test]
fn an_unescaped_name_is_not_the_header_it_would_be_escaped() {
    let octets = octets(ESC02);
    let message = check(&octets).unwrap();
    assert_eq!(
        message.all(Header::Contact).count(),
        2,
        "C%6Fntact is another header field"
    );
    assert!(
        matches!(
            message.start(),
            StartLine::Request {
                method: Method::Other,
                ..
            }
        ),
        "RE%47IST%45R is another method"
    );
}
