//! Verdict → octets (reference of each choice: RFC numbers at the writers in `wire::response`).
use ringfence_policy::{Action, Answers, NoOpinion, Values};

use super::decide::Verdict;
use super::identify::Subject;
use super::parse::Query;
use crate::installed::Wording;
use crate::wire::cookie::COOKIE;
use crate::wire::header::Rcode;
use crate::wire::question::qtype;
use crate::wire::response::Response;

/// What went out.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) length: usize,
    pub(crate) rcode: Rcode,
    pub(crate) is_truncated: bool,
}

pub(crate) fn answer(
    query: &Query<'_>,
    subject: &Subject<'_>,
    verdict: &Verdict,
    wording: Wording<'_>,
    cookie: Option<[u8; COOKIE]>,
    limit: usize,
    out: &mut [u8],
) -> Answered {
    let mut response = Response::new(out, query.question.as_ref(), limit);
    if let Some(cookie) = cookie {
        response.set_cookie(cookie);
    }
    let serial = verdict.policy_version.max(1);
    let qtype = query.question.map_or(0, |question| question.qtype);
    let mut rcode = Rcode::NoError;
    match subject {
        Subject::Fault(fault) => rcode = *fault,
        Subject::Refused(why) => {
            rcode = Rcode::Refused;
            response.set_extended_error(*why);
        }
        Subject::Apex(place) => {
            response.set_authoritative();
            match qtype {
                qtype::SOA => response.soa_answer(serial),
                qtype::NS => response.ns_answer(),
                qtype::ANY => response.any_is_refused(),
                _ => response.no_data(place.apex_at, serial),
            }
        }
        Subject::OtherType(place) => {
            response.set_authoritative();
            match qtype {
                qtype::ANY => response.any_is_refused(),
                _ => response.no_data(place.apex_at, serial),
            }
        }
        Subject::Health(place) => {
            response.set_authoritative();
            let answers = wording.in_zone(place.zone);
            put_action(&mut response, answers, Action::Allow, b"health", verdict);
        }
        Subject::Number(asked) => {
            response.set_authoritative();
            let answers = wording.in_zone(asked.place.zone);
            let digits = asked.destination_digits();
            match (verdict.decision.action, answers.no_opinion()) {
                (Action::None, NoOpinion::Allow) => {
                    put_action(&mut response, answers, Action::Allow, digits, verdict);
                }
                (Action::None, no_opinion) => {
                    // NXDOMAIN and NODATA differ in the RCODE only (RFC 2308, 2).
                    response.no_data(asked.place.apex_at, serial);
                    if no_opinion == NoOpinion::NxDomain {
                        rcode = Rcode::NxDomain;
                    }
                }
                (action, _) => put_action(&mut response, answers, action, digits, verdict),
            }
        }
    }
    let is_truncated = response.is_truncated();
    Answered {
        length: response.finish(&query.header, query.edns.as_ref(), rcode),
        rcode,
        is_truncated,
    }
}

fn put_action(
    response: &mut Response<'_>,
    answers: &Answers,
    action: Action,
    destination: &[u8],
    verdict: &Verdict,
) {
    let Some(template) = answers.template(action) else {
        return;
    };
    let values = Values {
        target: verdict.decision.target,
        destination: verdict.destination.number,
        destination_digits: destination,
        source: verdict.source.number,
        rule_id: verdict.decision.rule_id,
    };
    response.naptr(answers.service().as_bytes(), |room| {
        template.write(&values, room)
    });
}
