//! DNS cookies (RFC 7873) with interoperable server cookies (RFC 9018).
//!
//! ```text
//! COOKIE option   client cookie 8 │ server cookie 8 … 32, once the client has one
//! server cookie   version 1 │ reserved 3 │ timestamp u32 │ SipHash-2-4 of client cookie, the above, client address
//! ```
//! They let a client tell our answers from forged ones. A query without a cookie, or with a stale one, is answered all the same
//! (RFC 7873, 5.2.3 and 5.2.4 leave that open): after a restart no call may wait for an SBC to ask again.
use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// OPTION-CODE.
pub const OPTION_COOKIE: u16 = 10;
/// Octets of a client cookie.
pub const CLIENT_COOKIE: usize = 8;
/// Octets of the COOKIE option's data in an answer.
pub const COOKIE: usize = CLIENT_COOKIE + SERVER_COOKIE;
const SERVER_COOKIE: usize = 16;
/// Lengths that the option may have with a server cookie (RFC 7873, 4).
const WITH_SERVER_COOKIE: std::ops::RangeInclusive<usize> = 16..=40;
const VERSION: u8 = 1;
/// How old a cookie may be, and how far ahead (RFC 9018, 4.3).
const AGE_MAX_S: u32 = 3_600;
const AHEAD_MAX_S: u32 = 300;
/// From this age on the client gets a new one (RFC 9018, 4.3).
const RENEW_S: u32 = 1_800;

/// Whether the option's data may be this long; else the message is malformed (RFC 7873, 5.2.2).
#[must_use]
pub fn is_cookie_length(length: usize) -> bool {
    length == CLIENT_COOKIE || WITH_SERVER_COOKIE.contains(&length)
}

/// What server cookies are made with: the same on every server of one anycast address.
#[derive(Clone, Copy)]
pub struct CookieSecret([u8; 16]);

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret(…)")
    }
}

/// How a query's cookie stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieState {
    /// There is no server cookie in it.
    ClientOnly,
    /// Made by a server with this secret, for this client, not long ago.
    Valid,
    /// Anything else.
    Invalid,
}

impl CookieSecret {
    /// From 16 octets.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self(secret)
    }

    /// Data of the answer's option, for a query's with a length that [`is_cookie_length`]. `now_s`: since 1970, modulo 2³².
    #[must_use]
    pub fn answer(&self, data: &[u8], client: IpAddr, now_s: u32) -> ([u8; COOKIE], CookieState) {
        let state = self.check(data, client, now_s);
        let mut answer = [0; COOKIE];
        if let (CookieState::Valid, Some(same)) = (state, data.get(..COOKIE))
            && (age(same, now_s) <= RENEW_S || is_ahead(same, now_s))
        {
            answer.copy_from_slice(same);
            return (answer, state);
        }
        for (slot, &octet) in answer[..CLIENT_COOKIE].iter_mut().zip(data) {
            *slot = octet;
        }
        answer[8] = VERSION;
        answer[12..16].copy_from_slice(&now_s.to_be_bytes());
        let hash = self.hash(&answer, client);
        answer[16..].copy_from_slice(&hash);
        (answer, state)
    }

    fn check(&self, data: &[u8], client: IpAddr, now_s: u32) -> CookieState {
        if data.len() == CLIENT_COOKIE {
            return CookieState::ClientOnly;
        }
        let Ok(cookie) = <&[u8; COOKIE]>::try_from(data) else {
            return CookieState::Invalid;
        };
        let is_current = age(cookie, now_s) <= AGE_MAX_S || is_ahead(cookie, now_s);
        if cookie[8] == VERSION && is_current && is_equal(&self.hash(cookie, client), &cookie[16..])
        {
            CookieState::Valid
        } else {
            CookieState::Invalid
        }
    }

    /// Over what stands before the hash, and the client's address (RFC 9018, 4.4).
    fn hash(&self, cookie: &[u8; COOKIE], client: IpAddr) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&cookie[..16]);
        match client.to_canonical() {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
        hasher.finish().to_le_bytes()
    }
}

fn timestamp(cookie: &[u8]) -> u32 {
    match cookie.get(12..16) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// Serial number arithmetic (RFC 1982): right over 2106 too.
fn age(cookie: &[u8], now_s: u32) -> u32 {
    now_s.wrapping_sub(timestamp(cookie))
}

fn is_ahead(cookie: &[u8], now_s: u32) -> bool {
    timestamp(cookie).wrapping_sub(now_s) <= AHEAD_MAX_S
}

/// Takes the same time wherever they differ.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    fn secret(hex: &str) -> CookieSecret {
        CookieSecret::new(octets(hex).try_into().unwrap())
    }

    /// RFC 9018, A.1: a new server cookie.
    #[test]
    fn rfc9018_a1_learning_a_new_cookie() {
        let (answer, state) = secret("e5e973e5a6b2a43f48e7dc849e37bfcf").answer(
            &octets("2464c4abcf10c957"),
            "198.51.100.100".parse().unwrap(),
            1_559_731_985,
        );
        assert_eq!(state, CookieState::ClientOnly);
        assert_eq!(
            answer.to_vec(),
            octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
        );
    }

    /// RFC 9018, A.2: the same client learns a renewed one.
    #[test]
    fn rfc9018_a2_renewing_an_old_cookie() {
        let (answer, state) = secret("e5e973e5a6b2a43f48e7dc849e37bfcf").answer(
            &octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
            "198.51.100.100".parse().unwrap(),
            1_559_734_385,
        );
        assert_eq!(state, CookieState::Valid);
        assert_eq!(
            answer.to_vec(),
            octets("2464c4abcf10c957010000005cf7a871d4a564a1442aca77")
        );
    }

    /// RFC 9018, A.3: reserved octets as received count.
    #[test]
    fn rfc9018_a3_reserved_octets_are_hashed_as_received() {
        let cookie = octets("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
        let (answer, state) = secret("e5e973e5a6b2a43f48e7dc849e37bfcf").answer(
            &cookie,
            "203.0.113.203".parse().unwrap(),
            1_559_734_700,
        );
        assert_eq!(state, CookieState::Invalid, "older than an hour");
        assert_ne!(answer.to_vec(), cookie);
        let (_, state) = secret("e5e973e5a6b2a43f48e7dc849e37bfcf").answer(
            &cookie,
            "203.0.113.203".parse().unwrap(),
            1_559_727_985 + 60,
        );
        assert_eq!(state, CookieState::Valid);
    }

    /// RFC 9018, A.4: IPv6 and a new secret.
    #[test]
    fn rfc9018_a4_ipv6() {
        let client = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap();
        let (answer, _) = secret("445536bcd2513298075a5d379663c962").answer(
            &octets("22681ab97d52c298"),
            client,
            1_559_741_961,
        );
        assert_eq!(
            answer.to_vec(),
            octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a")
        );
        let (same, state) =
            secret("445536bcd2513298075a5d379663c962").answer(&answer, client, 1_559_741_961 + 10);
        assert_eq!((same, state), (answer, CookieState::Valid));
    }

    #[test]
    fn a_cookie_of_another_client_or_server_or_version_is_invalid() {
        let (one, client) = (secret(&"00".repeat(16)), "192.0.2.1".parse().unwrap());
        let (cookie, _) = one.answer(b"client01", client, 1_000);
        let state = |secret: CookieSecret, data: &[u8], client: IpAddr, now_s| {
            secret.answer(data, client, now_s).1
        };
        assert_eq!(state(one, &cookie, client, 1_000), CookieState::Valid);
        assert_eq!(
            state(one, &cookie, "192.0.2.2".parse().unwrap(), 1_000),
            CookieState::Invalid
        );
        assert_eq!(
            state(secret(&"01".repeat(16)), &cookie, client, 1_000),
            CookieState::Invalid
        );
        assert_eq!(state(one, &cookie, client, 5_000), CookieState::Invalid);
        assert_eq!(
            state(one, &cookie, client, 701),
            CookieState::Valid,
            "ahead"
        );
        assert_eq!(state(one, &cookie, client, 600), CookieState::Invalid);
        let mut other = cookie;
        other[8] = 2;
        assert_eq!(state(one, &other, client, 1_000), CookieState::Invalid);
        assert_eq!(
            state(one, &cookie[..16], client, 1_000),
            CookieState::Invalid
        );
    }

    #[test]
    fn lengths_are_those_of_rfc7873() {
        let legal: Vec<usize> = (0..64).filter(|&length| is_cookie_length(length)).collect();
        assert_eq!(legal, [vec![8], (16..=40).collect()].concat());
    }
}
