//! Identity headers and the PASSporT inside (RFC 8224, 8225; SHAKEN: RFC 8588): decoded, never verified.
//!
//! A passive probe fetches no certificate. What the PASSporT claims is shown, with its age against the INVITE.
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::sip::{number, parameter};

/// A PASSporT is fresh for so long after it was issued, seconds (RFC 8224, 6.2).
pub const FRESH_S: i64 = 60;

/// Longest Identity value that is decoded, octets.
pub const IDENTITY_MAX: usize = 16_384;

/// Why an Identity header could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Over [`IDENTITY_MAX`].
    #[error("Identity: longer than 16384 octets")]
    TooLong,
    /// Not three parts with dots between them.
    #[error("Identity: not three parts with dots between them")]
    Parts,
    /// A part is no base64url.
    #[error("Identity: a part is not base64url")]
    Base64,
    /// A part is no JSON object.
    #[error("Identity: a part is not a JSON object")]
    Json,
}

/// Full form carries claims, the compact form only a signature over what the request says (RFC 8225, 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `header.payload.signature`
    Full(Box<Passport>),
    /// `..signature`
    Compact,
}

/// One Identity header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<'a> {
    /// What it carries.
    pub form: Form,
    /// `info`: URI of the certificate, without its brackets.
    pub info: &'a [u8],
    /// `ppt`: extension, such as `shaken`, `div`, `rcd`, `rph`; that of the PASSporT's header when the parameter is missing.
    pub extension: Vec<u8>,
}

/// Claims of a PASSporT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passport {
    /// `attest`: full (A), partial (B), gateway (C).
    pub attestation: Option<Attestation>,
    /// `orig`: `tn`, else `uri`.
    pub orig: String,
    /// `dest`: all `tn`, then all `uri`.
    pub dest: Vec<String>,
    /// `iat`, seconds since 1970 UTC; as a number or, as the example of RFC 8588 has it, as a string.
    pub issued_s: Option<i64>,
    /// `origid`.
    pub orig_id: String,
    /// `ppt` of the header.
    pub extension: String,
    /// `x5u` of the header.
    pub certificate: String,
}

/// How sure the signing provider is of its customer (ATIS-1000074).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attestation {
    /// Knows the customer and its right to the number.
    A,
    /// Knows the customer.
    B,
    /// Knows only where the call came in.
    C,
}

impl Attestation {
    /// `A`, `B` or `C`.
    pub const fn letter(self) -> u8 {
        match self {
            Self::A => b'A',
            Self::B => b'B',
            Self::C => b'C',
        }
    }
}

impl<'a> Identity<'a> {
    /// Decodes one value of an Identity header.
    pub fn parse(value: &'a [u8]) -> Result<Self, IdentityError> {
        if value.len() > IDENTITY_MAX {
            return Err(IdentityError::TooLong);
        }
        let value = value.trim_ascii();
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (token, parameters) = value.split_at_checked(end).unwrap_or((value, &[]));
        let form = decode(token.trim_ascii())?;
        let named = parameter(parameters, b"ppt").unwrap_or_default();
        let extension = match &form {
            Form::Full(passport) if named.is_empty() => passport.extension.clone().into_bytes(),
            _ => named.to_vec(),
        };
        let info = parameter(parameters, b"info").unwrap_or_default();
        let info = info.strip_prefix(b"<").unwrap_or(info);
        let info = info.strip_suffix(b">").unwrap_or(info);
        Ok(Self {
            form,
            info,
            extension,
        })
    }

    /// Whether it is a SHAKEN PASSporT.
    pub fn is_shaken(&self) -> bool {
        self.extension.eq_ignore_ascii_case(b"shaken")
    }
}

impl Passport {
    /// Whether it was issued within [`FRESH_S`] of a time, seconds since 1970 UTC; false without `iat`.
    pub fn is_fresh(&self, now_s: i64) -> bool {
        self.issued_s.is_some_and(|issued| {
            now_s.saturating_sub(issued).unsigned_abs() <= FRESH_S.unsigned_abs()
        })
    }
}

/// Base64url without padding (RFC 7515, 2); padding of a careless sender is taken.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn decode(token: &[u8]) -> Result<Form, IdentityError> {
    // White space of folded lines is no part of the token.
    let token: Vec<u8> = token
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    let mut parts = token.split(|octet| *octet == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(IdentityError::Parts);
    };
    if header.is_empty() && payload.is_empty() && !signature.is_empty() {
        return Ok(Form::Compact);
    }
    let (header, payload) = (object(header)?, object(payload)?);
    let text = |map: &Map<String, Value>, key| {
        map.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let orig = numbers(payload.get("orig"));
    Ok(Form::Full(Box::new(Passport {
        attestation: match text(&payload, "attest").as_str() {
            "A" | "a" => Some(Attestation::A),
            "B" | "b" => Some(Attestation::B),
            "C" | "c" => Some(Attestation::C),
            _ => None,
        },
        orig: orig.into_iter().next().unwrap_or_default(),
        dest: numbers(payload.get("dest")),
        issued_s: issued(payload.get("iat")),
        orig_id: text(&payload, "origid"),
        extension: text(&header, "ppt"),
        certificate: text(&header, "x5u"),
    })))
}

fn object(part: &[u8]) -> Result<Map<String, Value>, IdentityError> {
    let octets = BASE64.decode(part).map_err(|_| IdentityError::Base64)?;
    match serde_json::from_slice(&octets) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(IdentityError::Json),
    }
}

/// `{"tn": …, "uri": …}`, each a text or an array of texts.
fn numbers(claim: Option<&Value>) -> Vec<String> {
    let Some(claim) = claim.and_then(Value::as_object) else {
        return Vec::new();
    };
    ["tn", "uri"]
        .into_iter()
        .filter_map(|key| claim.get(key))
        .flat_map(|value| match value {
            Value::Array(all) => all.as_slice(),
            one => core::slice::from_ref(one),
        })
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn issued(claim: Option<&Value>) -> Option<i64> {
    match claim? {
        Value::Number(issued) => issued.as_i64(),
        Value::String(issued) => number(issued.as_bytes())?.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(header: &str, payload: &str, parameters: &str) -> Vec<u8> {
        format!(
            "{}.{}.c2ln{parameters}",
            BASE64.encode(header),
            BASE64.encode(payload)
        )
        .replace('=', "")
        .replace(
            ";info",
            ";info=<https://cert.example/a.pem>;alg=ES256;ppt=\"shaken\"",
        )
        .into_bytes()
    }

    #[test]
    fn rfc8588_example_with_its_issue_time_as_a_string() {
        let value = identity(
            r#"{"alg":"ES256","typ":"passport","ppt":"shaken","x5u":"https://cert.example.org/passport.cer"}"#,
            r#"{"attest":"A","dest":{"tn":["12125550131"]},"iat":"1443208345","orig":{"tn":"12155550121"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#,
            ";info",
        );
        let identity = Identity::parse(&value).unwrap();
        assert!(identity.is_shaken());
        assert_eq!(identity.info, b"https://cert.example/a.pem");
        let Form::Full(passport) = identity.form else {
            panic!("full form")
        };
        assert_eq!(passport.attestation, Some(Attestation::A));
        assert_eq!(
            (passport.orig.as_str(), passport.dest.as_slice()),
            ("12155550121", ["12125550131".to_owned()].as_slice())
        );
        assert_eq!(passport.issued_s, Some(1_443_208_345));
        assert!(passport.is_fresh(1_443_208_345 + 60) && !passport.is_fresh(1_443_208_345 + 61));
        assert!(!passport.is_fresh(i64::MIN));
    }

    #[test]
    fn the_compact_form_has_no_claims() {
        let identity = Identity::parse(b"..sig;info=<https://c>;alg=ES256").unwrap();
        assert_eq!(
            (identity.form, identity.info),
            (Form::Compact, b"https://c".as_slice())
        );
    }

    #[test]
    fn a_diversion_passport_is_not_taken_for_shaken() {
        let value = identity(
            r#"{"ppt":"div"}"#,
            r#"{"orig":{"uri":"sip:a@b"},"dest":{"uri":["sip:c@d"]},"iat":7}"#,
            "",
        );
        let identity = Identity::parse(&value).unwrap();
        assert!(!identity.is_shaken());
        let Form::Full(passport) = identity.form else {
            panic!("full form")
        };
        assert_eq!(
            (
                passport.orig.as_str(),
                passport.issued_s,
                passport.attestation
            ),
            ("sip:a@b", Some(7), None)
        );
    }

    #[test]
    fn damage_is_named() {
        for (value, error) in [
            (b"".as_slice(), IdentityError::Parts),
            (b"a.b", IdentityError::Parts),
            (b"a.b.c.d", IdentityError::Parts),
            (b"!!.e30.x", IdentityError::Base64),
            (b"W10.e30.x", IdentityError::Json),
            (b"e30.bm8.x", IdentityError::Json),
        ] {
            assert_eq!(
                Identity::parse(value),
                Err(error),
                "{}",
                value.escape_ascii()
            );
        }
        assert_eq!(
            Identity::parse(&[b'a'; IDENTITY_MAX + 1]),
            Err(IdentityError::TooLong)
        );
    }
}
