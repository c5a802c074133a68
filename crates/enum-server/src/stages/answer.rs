//! Verdict → octets (reference of each choice: RFC numbers at the writers in `wire::response`).
use ringfence_policy::{Action, Values};

use super::decide::Verdict;
use super::identify::{Place, Subject};
use super::parse::Query;
use crate::installed::{Installed, Service};
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
    service: &Service,
    policy: Option<&Installed>,
    limit: usize,
    out: &mut [u8],
) -> Answered {
    let mut response = Response::new(out, query.question.as_ref(), limit);
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
            put_action(&mut response, *place, b"health", verdict, service, policy);
        }
        Subject::Number(asked) => {
            response.set_authoritative();
            if verdict.decision.action == Action::None {
                response.no_data(asked.place.apex_at, serial);
            } else {
                put_action(
                    &mut response,
                    asked.place,
                    asked.destination.as_bytes(),
                    verdict,
                    service,
                    policy,
                );
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
    place: Place,
    destination: &[u8],
    verdict: &Verdict,
    service: &Service,
    policy: Option<&Installed>,
) {
    let answers = policy.map_or(&service.zones[place.zone].answers, |policy| {
        &policy.answers[place.zone]
    });
    let Some(template) = answers.template(verdict.decision.action) else {
        return;
    };
    let values = Values {
        target: verdict.decision.target,
        destination: verdict.destination.number,
        destination_digits: destination,
        source: verdict.source.number,
    };
    response.naptr(answers.service().as_bytes(), |room| {
        template.write(&values, room)
    });
}
