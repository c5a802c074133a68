//! Subject → verdict: the policy's decision, or the fail mode without one.
use ringfence_numbers::{DialPlan, Direction, NumberClass, Party};
use ringfence_policy::{Action, Call, Decision, DynamicEntries, Reason, Snapshot};

use super::identify::{NumberAsked, SourceText, Subject};
use crate::installed::{Installed, Service};

/// What was decided, and about whom.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    pub(crate) source: Party,
    pub(crate) destination: Party,
    pub(crate) direction: Direction,
    pub(crate) policy_version: u32,
}

pub(crate) fn decide(
    subject: &Subject<'_>,
    service: &Service,
    policy: Option<&Installed>,
    now_us: i64,
) -> Verdict {
    let mut verdict = Verdict {
        decision: Decision::without_rule(Action::None, Reason::Unknown),
        source: Party::ABSENT,
        destination: Party::ABSENT,
        direction: Direction::Unknown,
        policy_version: policy.map_or(0, |policy| policy.snapshot.version()),
    };
    match subject {
        Subject::Health(_) => {
            verdict.decision = Decision::without_rule(Action::Allow, Reason::HealthCheck)
        }
        Subject::Number(asked) => decide_call(&mut verdict, asked, service, policy, now_us),
        Subject::Fault(_) | Subject::Refused(_) | Subject::Apex(_) | Subject::OtherType(_) => {}
    }
    verdict
}

fn decide_call(
    verdict: &mut Verdict,
    asked: &NumberAsked<'_>,
    service: &Service,
    policy: Option<&Installed>,
    now_us: i64,
) {
    let plan = policy.map_or(&service.plan_without_policy, |policy| {
        policy.snapshot.plan()
    });
    verdict.source = source_of(&asked.source, plan);
    if asked.is_no_number() {
        verdict.destination = Party::without_number(NumberClass::Invalid);
        verdict.decision = Decision::without_rule(Action::None, Reason::NotANumber);
        return;
    }
    // A name may say who calls and not whom: then the destination is absent.
    verdict.destination = plan.normalise_enum_name(asked.destination_digits());
    match policy {
        None => verdict.decision = Decision::without_rule(service.fail_action, Reason::NoPolicy),
        Some(policy) => {
            let call = policy.snapshot.call(verdict.source, verdict.destination);
            verdict.direction = call.direction;
            verdict.decision = decide_listed(&policy.snapshot, &call, service, now_us);
        }
    }
}

/// The dynamic entries are loaded only for a policy that asks for them.
fn decide_listed(snapshot: &Snapshot, call: &Call, service: &Service, now_us: i64) -> Decision {
    if snapshot.has_dynamic_lists() {
        snapshot.decide(call, now_us, &service.rates, &service.entries.load())
    } else {
        snapshot.decide(call, now_us, &service.rates, &DynamicEntries::default())
    }
}

fn source_of(source: &SourceText<'_>, plan: &DialPlan) -> Party {
    match source {
        SourceText::Uri(uri) => plan.normalise(uri),
        SourceText::Digits(digits) => plan.normalise_digits(digits.as_bytes()),
    }
}
