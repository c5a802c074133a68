//! How each action is written: templates of NAPTR regexps (docs/contracts.md 4, `answers`).
//!
//! A template is held to what every known ENUM client can read: delimiter `!` three times, no space, no backslash but
//! one `\1`, no flag, 7 to 255 octets (RFC 3402, 3.2; RFC 6116, 5.1).
use ringfence_numbers::{DIGITS_MAX, DIGITS_MIN, E164};

use crate::document::{AnswersText, NoOpinion};
use crate::{Action, PolicyError};

/// Longest regexp: a DNS character string (RFC 1035, 3.3).
pub const REGEXP_MAX: usize = 255;
const REGEXP_MIN: usize = 7;
const SERVICE_MAX: usize = 64;
const HOST_MAX: usize = 128;
/// `+` and fifteen digits.
const NUMBER_MAX: usize = 1 + DIGITS_MAX;
/// Stands for a source that is no number.
const NO_NUMBER: &[u8] = b"anonymous";
/// Stands for a destination without any digit.
const NO_DESTINATION: &[u8] = b"unknown";
/// Digits of a 32-bit integer.
const RULE_MAX: usize = 10;

/// The templates of a policy.
#[derive(Debug, Clone)]
pub struct Answers {
    allow: Template,
    terminate: Template,
    redirect: Template,
    service: String,
    no_opinion: NoOpinion,
}

impl Answers {
    /// `field`: where the text stands in the document.
    pub(crate) fn compile(text: &AnswersText, field: &str) -> Result<Self, PolicyError> {
        let fault = |part: &str, problem| PolicyError::new(format!("{field}.{part}"), problem);
        let host = text.host.as_deref();
        if let Some(host) = host {
            check_host(host).map_err(|problem| fault("host", problem))?;
        }
        check_service(&text.service).map_err(|problem| fault("service", problem))?;
        let template = |part: &str, text: &str| {
            Template::parse(text, host).map_err(|problem| fault(part, problem))
        };
        Ok(Self {
            allow: template("allow", &text.allow)?,
            terminate: template("terminate", &text.terminate)?,
            redirect: template("redirect", &text.redirect)?,
            service: text.service.clone(),
            no_opinion: text.no_opinion,
        })
    }

    /// The same templates with `{host}` filled in where the document left it open.
    pub fn for_host(&self, host: &str) -> Result<Self, PolicyError> {
        check_host(host).map_err(|problem| PolicyError::new("answers.host", problem))?;
        let fill = |field: &str, template: &Template| {
            template
                .with_host(host)
                .map_err(|problem| PolicyError::new(format!("answers.{field}"), problem))
        };
        Ok(Self {
            allow: fill("allow", &self.allow)?,
            terminate: fill("terminate", &self.terminate)?,
            redirect: fill("redirect", &self.redirect)?,
            service: self.service.clone(),
            no_opinion: self.no_opinion,
        })
    }

    /// The template of an action; none for "no opinion".
    #[must_use]
    pub fn template(&self, action: Action) -> Option<&Template> {
        match action {
            Action::None => None,
            Action::Allow => Some(&self.allow),
            Action::Terminate => Some(&self.terminate),
            Action::Redirect => Some(&self.redirect),
        }
    }

    /// How "no opinion" is said.
    #[must_use]
    pub fn no_opinion(&self) -> NoOpinion {
        self.no_opinion
    }

    /// NAPTR services field.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl Default for Answers {
    /// The default templates, `{host}` open.
    fn default() -> Self {
        let text = AnswersText::default();
        let open = |text: &str| Template {
            pieces: pieces_of(text).unwrap_or_default(),
        };
        Self {
            allow: open(&text.allow),
            terminate: open(&text.terminate),
            redirect: open(&text.redirect),
            service: text.service,
            no_opinion: text.no_opinion,
        }
    }
}

/// A NAPTR regexp with places for values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Host,
    Target,
    Destination,
    Source,
    Rule,
}

/// What a template's places are filled with.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// Where a redirect goes.
    pub target: Option<E164>,
    /// The number called.
    pub destination: Option<E164>,
    /// Digits that stand for a destination that is no full number.
    pub destination_digits: &'a [u8],
    /// The caller's number.
    pub source: Option<E164>,
    /// Id of the rule that decided, 0 for none.
    pub rule_id: u32,
}

impl Values<'_> {
    fn destination_text(&self) -> &[u8] {
        match self.destination_digits {
            [] => NO_DESTINATION,
            digits => digits,
        }
    }
}

impl Template {
    fn parse(text: &str, host: Option<&str>) -> Result<Self, String> {
        let template = Self {
            pieces: pieces_of(text)?,
        };
        template.check_expression()?;
        match host {
            Some(host) => template.with_host(host),
            None => template.check_length().map(|()| template),
        }
    }

    fn with_host(&self, host: &str) -> Result<Self, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in &self.pieces {
            let piece = if *piece == Piece::Host {
                Piece::Text(host.to_owned())
            } else {
                piece.clone()
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
                (_, piece) => pieces.push(piece),
            }
        }
        let template = Self { pieces };
        template.check_length()?;
        Ok(template)
    }

    /// Writes the regexp to the front of `out`; `None` if it does not fit. A place for a host that is still open stays as written.
    pub fn write(&self, values: &Values<'_>, out: &mut [u8]) -> Option<usize> {
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            let end = length + bytes.len();
            out.get_mut(length..end)?.copy_from_slice(bytes);
            length = end;
            Some(())
        };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => put(text.as_bytes())?,
                Piece::Host => put(b"{host}")?,
                Piece::Target => put_number(&mut put, values.target, NO_NUMBER)?,
                Piece::Destination => {
                    put_number(&mut put, values.destination, values.destination_text())?
                }
                Piece::Source => put_number(&mut put, values.source, NO_NUMBER)?,
                Piece::Rule => put_decimal(&mut put, values.rule_id)?,
            }
        }
        Some(length)
    }

    /// Holds for every value that may be filled in, and for every apex where the host is left open.
    fn check_length(&self) -> Result<(), String> {
        let bounds = |piece: &Piece| match piece {
            Piece::Text(text) => (text.len(), text.len()),
            Piece::Host => (1, HOST_MAX),
            // Digits that are no number are at most twice as many as a number's.
            Piece::Destination => (1, 2 * NUMBER_MAX),
            Piece::Target | Piece::Source => (1 + DIGITS_MIN, NUMBER_MAX),
            Piece::Rule => (1, RULE_MAX),
        };
        let (shortest, longest) = self
            .pieces
            .iter()
            .map(bounds)
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if shortest < REGEXP_MIN {
            return Err(format!("must have at least {REGEXP_MIN} characters"));
        }
        if longest > REGEXP_MAX {
            return Err(format!(
                "may become {longest} characters long; a NAPTR regexp holds {REGEXP_MAX}"
            ));
        }
        Ok(())
    }

    fn check_expression(&self) -> Result<(), String> {
        let (mut delimiters, mut references, mut has_group) = (0, 0, false);
        for piece in &self.pieces {
            let Piece::Text(text) = piece else {
                if delimiters != 2 {
                    return Err(
                        "{…} may stand only in the replacement, between the second and third !"
                            .into(),
                    );
                }
                continue;
            };
            if delimiters == 0 && !text.starts_with('!') {
                return Err("must start with !".into());
            }
            let bytes = text.as_bytes();
            for (index, &c) in bytes.iter().enumerate() {
                match c {
                    b'!' => delimiters += 1,
                    b'(' if delimiters == 1 => has_group = true,
                    b'\\' if delimiters == 2 && bytes.get(index + 1) == Some(&b'1') => {
                        references += 1
                    }
                    b'\\' => {
                        return Err(r"holds a backslash that is not \1 in the replacement".into());
                    }
                    b'"'..=b'~' => {}
                    _ => return Err("must be printable ASCII without spaces".into()),
                }
            }
        }
        let ends = matches!(self.pieces.last(), Some(Piece::Text(text)) if text.ends_with('!'));
        match (delimiters, ends, references) {
            (3, true, 0) => Ok(()),
            (3, true, 1) if has_group => Ok(()),
            (3, true, 1) => Err(r"uses \1 but its expression has no group, such as ^(.*)$".into()),
            (3, true, _) => Err(r"uses \1 more than once".into()),
            _ => Err("must be !EXPRESSION!REPLACEMENT! with exactly three !".into()),
        }
    }
}

fn put_number(
    put: &mut impl FnMut(&[u8]) -> Option<()>,
    number: Option<E164>,
    otherwise: &[u8],
) -> Option<()> {
    match number {
        Some(number) => {
            put(b"+")?;
            put(number.write_digits(&mut [0; DIGITS_MAX]))
        }
        None => put(otherwise),
    }
}

fn put_decimal(put: &mut impl FnMut(&[u8]) -> Option<()>, mut number: u32) -> Option<()> {
    let mut digits = [b'0'; RULE_MAX];
    let mut start = RULE_MAX;
    loop {
        start -= 1;
        digits[start] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return put(&digits[start..]);
        }
    }
}

fn pieces_of(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            pieces.push(Piece::Text(rest[..open].to_owned()));
        }
        let Some(close) = rest[open..].find('}') else {
            return Err("has a { without }".into());
        };
        pieces.push(match &rest[open..=open + close] {
            "{host}" => Piece::Host,
            "{target}" => Piece::Target,
            "{destination}" => Piece::Destination,
            "{source}" => Piece::Source,
            "{rule}" => Piece::Rule,
            other => {
                return Err(format!(
                    "{other} is none of {{host}}, {{target}}, {{destination}}, {{source}}, {{rule}}"
                ));
            }
        });
        rest = &rest[open + close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn check_host(host: &str) -> Result<(), String> {
    let is_host_character = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || host.len() > HOST_MAX || !host.chars().all(is_host_character) {
        return Err(format!(
            "{host:?} must be a host name or address of at most {HOST_MAX} characters"
        ));
    }
    Ok(())
}

/// `E2U` and enumservices (RFC 6116, 3.4.3), or the older `sip+E2U` that some Cisco releases ask for.
fn check_service(service: &str) -> Result<(), String> {
    let is_token = |text: &str| {
        !text.is_empty()
            && text.len() <= 32
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let mut parts = service.split('+');
    let is_current = parts
        .next()
        .is_some_and(|first| first.eq_ignore_ascii_case("E2U"))
        && service.contains('+')
        && parts.all(|spec| spec.split(':').all(is_token));
    if service.len() <= SERVICE_MAX && (is_current || service.eq_ignore_ascii_case("sip+E2U")) {
        return Ok(());
    }
    Err(format!(
        "{service:?} must be such as \"E2U+sip\" or \"sip+E2U\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, host: &str) -> String {
        let number = |digits| E164::new(digits);
        let values = Values {
            target: number(12_105_550_199),
            destination: None,
            destination_digits: b"411",
            source: number(442_079_460_000),
            rule_id: u32::MAX,
        };
        let mut out = [0; REGEXP_MAX];
        let template = Template::parse(text, Some(host)).unwrap();
        let length = template.write(&values, &mut out).unwrap();
        assert_eq!(
            template.write(&values, &mut out[..length - 1]),
            None,
            "does not overrun"
        );
        String::from_utf8(out[..length].to_vec()).unwrap()
    }

    #[test]
    fn fills_in_values() {
        assert_eq!(
            written(r"!^(.*)$!sip:\1@allow.{host}!", "e164.internal"),
            r"!^(.*)$!sip:\1@allow.e164.internal!"
        );
        assert_eq!(
            written(
                "!^.*$!sip:{target}@{host}:5060;from={source};to={destination}!",
                "h"
            ),
            "!^.*$!sip:+12105550199@h:5060;from=+442079460000;to=411!"
        );
        assert_eq!(
            written("!^.*$!sip:{target}@{host};rule={rule}!", "h"),
            "!^.*$!sip:+12105550199@h;rule=4294967295!"
        );
    }

    #[test]
    fn refuses_what_a_known_client_cannot_read() {
        for (text, problem) in [
            ("^.*$!sip:a@b!", "start with !"),
            ("!^.*$!sip:a@b!i", "exactly three"),
            ("!^.*$!sip:a!b@c!", "exactly three"),
            ("!^.*$!sip:a b@c!", "spaces"),
            (r"!^\+1(.*)$!sip:\1@c!", "backslash"),
            (r"!^(.*)$!sip:\2@c!", "backslash"),
            (r"!^.*$!sip:\1@c!", "no group"),
            (r"!^(.*)$!sip:\1\1@c!", "more than once"),
            ("!{source}!sip:a@b!", "replacement"),
            ("!^.*$!sip:{name}@b!", "{name}"),
            ("!^.*$!sip:ä@b!", "ASCII"),
            ("!^.*$!sip:a@b", "exactly three"),
            ("!^.*$!sip:{host@b!", "without }"),
            ("!^$!a!", "at least 7"),
        ] {
            let error = Template::parse(text, None).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
        assert!(
            Template::parse(&format!("!^.*$!sip:{}!", "a".repeat(250)), None)
                .unwrap_err()
                .contains("255")
        );
        assert!(
            check_host("a b").is_err() && check_host("a!b").is_err() && check_host("").is_err()
        );
        assert!(check_host("[2001:db8::1]:5060").is_ok());
        for service in ["E2U+sip", "E2U+voice:tel+sip", "sip+E2U", "e2u+x-app"] {
            assert!(check_service(service).is_ok(), "{service}");
        }
        for service in ["", "E2U", "E2U+", "sip", "E2U+s ip"] {
            assert!(check_service(service).is_err(), "{service}");
        }
    }
}
