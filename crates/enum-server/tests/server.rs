//! The server over real sockets: both transports, policy switched under load, stop, journal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ringfence_enum_server::{Config, Server, StartError};
use ringfence_policy::Contents;

const DEADLINE: Duration = Duration::from_secs(10);

fn start(more: &str) -> Server {
    let json = format!(
        r#"{{"listen": ["127.0.0.1:0", "[::1]:0"], "apex": ["pg.local"], "workers": 2{more}}}"#
    );
    Server::start(&Config::parse(&json).unwrap()).unwrap()
}

fn policy(version: u32, action: &str) -> String {
    format!(
        r#"{{"format": 1, "version": {version}, "site": {{"country_code": "1"}}, "rules": [{{"id": 1, "name": "all", "mode": "enforce",
        "direction": "any", "sources": [], "destinations": [], "action": "{action}", "target": null, "schedule": null, "rate": null}}]}}"#
    )
}

fn query(id: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    packet.extend(
        b"\x013\x012\x011\x010\x015\x015\x015\x010\x011\x012\x011\x02pg\x05local\0\0\x23\0\x01",
    );
    packet
}

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(if server.is_ipv6() {
        "[::1]:0"
    } else {
        "127.0.0.1:0"
    })
    .unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn ask(socket: &UdpSocket, id: u16) -> Vec<u8> {
    socket.send(&query(id)).unwrap();
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer).unwrap();
    assert_eq!(answer[..2], id.to_be_bytes());
    answer[..length].to_vec()
}

fn says(answer: &[u8], text: &str) -> bool {
    answer
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn counter(server: &Server, wanted: &str) -> u64 {
    server
        .counters()
        .into_iter()
        .find(|(name, _)| name == wanted)
        .unwrap()
        .1
}

#[test]
fn answers_on_every_address_and_follows_the_policy() {
    let server = start("");
    for &address in server.addresses() {
        let socket = client(address);
        assert!(
            says(&ask(&socket, 1), "sip:\\1@allow.pg.local"),
            "fail mode"
        );
        server.install(policy(3, "terminate").as_bytes()).unwrap();
        assert_eq!(server.policy_version(), 3);
        assert!(says(&ask(&socket, 2), "sip:\\1@terminate.pg.local"));
        assert!(server.install(b"{}").is_err());
        assert!(
            says(&ask(&socket, 3), "terminate"),
            "a refused policy leaves the running one"
        );
        server.uninstall();
        assert_eq!(server.policy_version(), 0);
        assert!(says(&ask(&socket, 4), "allow"));
    }
    assert_eq!(counter(&server, "answers"), 8);
}

#[test]
fn a_policy_switch_loses_no_query() {
    let server = start("");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in 1..200 {
                server
                    .install(
                        policy(
                            version,
                            if version % 2 == 0 {
                                "allow"
                            } else {
                                "terminate"
                            },
                        )
                        .as_bytes(),
                    )
                    .unwrap();
            }
            done.store(true, Relaxed);
        });
        let socket = client(server.addresses()[0]);
        let mut id = 0_u16;
        while !done.load(Relaxed) {
            id = id.wrapping_add(1);
            let answer = ask(&socket, id);
            assert!(says(&answer, "allow.pg.local") || says(&answer, "terminate.pg.local"));
        }
    });
}

#[test]
fn rfc7766_queries_of_a_connection_may_follow_each_other() {
    let server = start("");
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut octets = Vec::new();
    for id in 0..300_u16 {
        let query = query(id);
        octets.extend((query.len() as u16).to_be_bytes());
        octets.extend(query);
    }
    // In odd pieces, so that queries are cut anywhere.
    for piece in octets.chunks(97) {
        stream.write_all(piece).unwrap();
    }
    for id in 0..300_u16 {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], id.to_be_bytes());
        assert!(says(&answer, "allow.pg.local"));
    }
    stream.write_all(&[0, 3, 1, 2, 3]).unwrap();
    assert_eq!(
        stream.read(&mut [0; 8]).unwrap(),
        0,
        "what is no DNS message ends the connection"
    );
}

#[test]
fn one_peer_cannot_take_all_connections() {
    let server = start("");
    let streams: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(server.addresses()[0]).unwrap())
        .collect();
    let mut last = &streams[39];
    last.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(!matches!(last.read(&mut [0; 1]), Ok(1..)), "closed at once");
    assert_eq!(
        (
            counter(&server, "tcp_connections"),
            counter(&server, "tcp_refused")
        ),
        (32, 8)
    );
    assert!(
        says(&ask(&client(server.addresses()[0]), 1), "allow"),
        "UDP goes on"
    );
}

#[test]
fn a_stopped_server_is_dead_at_once() {
    let server = start("");
    let socket = client(server.addresses()[0]);
    ask(&socket, 1);
    server.stop();
    server.stop();
    let error = socket
        .send(&query(2))
        .and_then(|_| socket.recv(&mut [0; 64]))
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::ConnectionRefused,
        "the SBC sees it by ICMP"
    );
    assert!(TcpStream::connect(server.addresses()[0]).is_err());
    let json = format!(
        r#"{{"listen": ["{}"], "apex": ["pg.local"]}}"#,
        server.addresses()[0]
    );
    let again = Server::start(&Config::parse(&json).unwrap()).unwrap();
    assert!(
        says(&ask(&client(again.addresses()[0]), 3), "allow"),
        "and can start again on its port"
    );
}

#[test]
fn an_address_in_use_is_refused_and_named() {
    let server = start("");
    let address = server.addresses()[0];
    let json = format!(r#"{{"listen": ["{address}"], "apex": ["pg.local"]}}"#);
    let error = Server::start(&Config::parse(&json).unwrap()).unwrap_err();
    assert!(
        matches!(error, StartError::Listen { .. })
            && error.to_string().contains(&address.to_string())
    );
}

#[test]
fn the_first_answer_is_by_the_policy_it_starts_with() {
    let json = r#"{"listen": ["127.0.0.1:0"], "apex": ["pg.local"]}"#;
    let config = Config::parse(json).unwrap();
    let server = {
        let document = policy(7, "terminate");
        let contents = Contents::default();
        Server::start_with(&config, Some((document.as_bytes(), &contents)), None).unwrap()
    };
    assert_eq!(server.policy_version(), 7);
    assert!(says(&ask(&client(server.addresses()[0]), 1), "terminate"));
}

#[test]
fn a_policy_that_does_not_compile_is_refused_before_anything_is_bound() {
    let server = start("");
    let address = server.addresses()[0];
    let json = format!(r#"{{"listen": ["{address}"], "apex": ["pg.local"]}}"#);
    let error = Server::start_with(
        &Config::parse(&json).unwrap(),
        Some((b"{}", &Contents::default())),
        None,
    )
    .unwrap_err();
    assert!(
        matches!(error, StartError::Policy(_)),
        "not the address in use: {error}"
    );
}

#[test]
fn every_answered_query_is_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let server = start(&format!(
        r#", "journal": {{"folder": "{path}/journal", "stage": "{path}/stage", "sync_ms": 1}}"#
    ));
    for (index, &address) in server.addresses().iter().enumerate() {
        let socket = client(address);
        (0..50).for_each(|id| drop(ask(&socket, id + index as u16)));
    }
    let reader = server.journal().unwrap().reader();
    server.stop();
    let events: u64 = reader.streams().iter().map(|stream| stream.durable).sum();
    assert_eq!((events, counter(&server, "events_lost")), (100, 0));
}
