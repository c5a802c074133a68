//! Document → snapshot: every check that the document's types cannot make, then the tables.
//!
//! A *tag* is a list (its tag is its place among the names) or the patterns that one rule holds itself. The
//! number map says which tags hold a number; here each set of tags becomes the set of rules that it satisfies.
use std::collections::HashSet;

use ringfence_numbers::{
    DialPlan, Direction, E164, ExpiringSet, NumberClass, NumberMapBuilder, Pattern,
};

use crate::bits::{RuleBits, RuleRows};
use crate::content::Expiring;
use crate::document::{List, Matcher, Mode, Rule};
use crate::network::{Network, NetworkMap};
use crate::rate::{LIMIT_MAX, WINDOW_MAX_S};
use crate::schedule::CompiledSchedule;
use crate::snapshot::{CompiledRule, ProfileId, Side, Snapshot};
use crate::{Action, Answers, Contents, Document, PolicyError};

const FORMAT: u32 = 1;
/// Ids and versions travel as signed 32-bit integers.
const ID_MAX: u32 = i32::MAX as u32;
/// Most rules of a policy.
const RULES_MAX: usize = 20_000;
/// Most profiles of a policy.
const PROFILES_MAX: usize = 1_000;
/// Most SBCs of a policy.
const CLIENTS_MAX: usize = 10_000;

const DIRECTIONS: [Direction; Direction::COUNT] = [
    Direction::Unknown,
    Direction::Inbound,
    Direction::Outbound,
    Direction::Internal,
    Direction::Transit,
];

impl Snapshot {
    /// Checks and compiles a document with the contents of the lists that it names.
    pub fn compile(document: Document, contents: &Contents<'_>) -> Result<Self, PolicyError> {
        if document.format != FORMAT {
            return Err(PolicyError::new(
                "format",
                format!(
                    "{} is not known here; this release reads 1",
                    document.format
                ),
            ));
        }
        if document.version == 0 || document.version > ID_MAX {
            return Err(PolicyError::new(
                "version",
                format!("must be 1 to {ID_MAX}"),
            ));
        }
        if document.rules.len() > RULES_MAX {
            return Err(PolicyError::new(
                "rules",
                format!("there are more than {RULES_MAX}"),
            ));
        }
        let plan = DialPlan::compile(&document.site, &document.protected)?;
        let answers = Answers::compile(&document.answers, "answers")?;
        let (profiles, clients) = compile_profiles(&document)?;
        let schedules: Vec<CompiledSchedule> = document
            .schedules
            .iter()
            .map(|(name, schedule)| CompiledSchedule::compile(name, schedule))
            .collect::<Result<_, _>>()?;
        let is_dynamic: Vec<bool> = document.lists.values().map(|list| list.dynamic).collect();
        let (lists, listed): (Vec<String>, Vec<List>) = document.lists.into_iter().unzip();
        let rules = compile_rules(document.rules, &lists, &schedules)?;

        let mut tables = Tables::new(&rules, lists.len());
        for (place, rule) in rules.iter().enumerate() {
            tables.add(place, rule, &lists);
        }
        let expiring = tables.add_lists(&lists, listed, contents)?;
        let dynamic: Vec<usize> = (0..lists.len())
            .filter(|&tag| is_dynamic[tag] && tables.lists_used[tag])
            .collect();
        let directions = DIRECTIONS.map(|direction| {
            bits_where(&rules, |rule| {
                rule.mode != Mode::Off && rule.direction.includes(direction)
            })
        });
        let numbers = tables.numbers.build();
        let (source, destination) = (tables.sources, tables.destinations);
        let sources = source.finish(&numbers, &dynamic, &expiring);
        let destinations = destination.finish(&numbers, &dynamic, &expiring);
        Ok(Self {
            version: document.version,
            plan,
            answers,
            profiles,
            clients,
            rules,
            schedules,
            numbers,
            dynamic: dynamic.into_iter().map(|tag| lists[tag].clone()).collect(),
            expiring,
            lists,
            sources,
            destinations,
            directions,
        })
    }
}

/// Profiles in the order of their names, and which of them each network has.
fn compile_profiles(
    document: &Document,
) -> Result<(Vec<Answers>, NetworkMap<ProfileId>), PolicyError> {
    if document.profiles.len() > PROFILES_MAX {
        let problem = format!("there are more than {PROFILES_MAX}");
        return Err(PolicyError::new("profiles", problem));
    }
    if document.clients.len() > CLIENTS_MAX {
        let problem = format!("there are more than {CLIENTS_MAX}");
        return Err(PolicyError::new("clients", problem));
    }
    let profiles = document
        .profiles
        .iter()
        .map(|(name, text)| Answers::compile(text, &format!("profiles.{name}")))
        .collect::<Result<_, _>>()?;
    let mut networks: Vec<(Network, ProfileId)> = Vec::new();
    let mut seen = HashSet::new();
    for (place, client) in document.clients.iter().enumerate() {
        let fault = |part, problem| PolicyError::new(format!("clients[{place}].{part}"), problem);
        let network = client
            .network
            .parse()
            .map_err(|problem: String| fault("network", problem))?;
        if !seen.insert(network) {
            let problem = format!("{} is there twice", client.network);
            return Err(fault("network", problem));
        }
        let profile = document
            .profiles
            .keys()
            .position(|name| *name == client.profile)
            .ok_or_else(|| {
                let problem = format!("there is no profile {:?}", client.profile);
                fault("profile", problem)
            })?;
        networks.push((network, ProfileId::new(profile)));
    }
    Ok((profiles, NetworkMap::new(&networks)))
}

fn compile_rules(
    rules: Vec<Rule>,
    lists: &[String],
    schedules: &[CompiledSchedule],
) -> Result<Vec<CompiledRule>, PolicyError> {
    let mut ids = HashSet::new();
    let compile = |(place, rule): (usize, Rule)| {
        if !ids.insert(rule.id) {
            return Err(PolicyError::new(
                format!("rules[{place}].id"),
                format!("{} is used twice", rule.id),
            ));
        }
        compile_rule(rule, lists, schedules).map_err(|mut error| {
            error.field = format!("rules[{place}].{}", error.field);
            error
        })
    };
    rules.into_iter().enumerate().map(compile).collect()
}

fn compile_rule(
    rule: Rule,
    lists: &[String],
    schedules: &[CompiledSchedule],
) -> Result<CompiledRule, PolicyError> {
    if rule.id == 0 || rule.id > ID_MAX {
        return Err(PolicyError::new("id", format!("must be 1 to {ID_MAX}")));
    }
    for (field, matchers) in [
        ("sources", &rule.sources),
        ("destinations", &rule.destinations),
    ] {
        for (index, matcher) in matchers.iter().enumerate() {
            if let Matcher::List(name) = matcher
                && lists.binary_search(name).is_err()
            {
                return Err(PolicyError::new(
                    format!("{field}[{index}]"),
                    format!("there is no list {name:?}"),
                ));
            }
        }
    }
    let schedule = match &rule.schedule {
        None => None,
        Some(name) => match schedules.iter().position(|schedule| schedule.name == *name) {
            None => {
                return Err(PolicyError::new(
                    "schedule",
                    format!("there is no schedule {name:?}"),
                ));
            }
            place => place,
        },
    };
    if let Some(rate) = rule.rate {
        if rate.limit > LIMIT_MAX {
            return Err(PolicyError::new(
                "rate.limit",
                format!("must be 0 to {LIMIT_MAX} calls"),
            ));
        }
        if rate.window_s == 0 || rate.window_s > WINDOW_MAX_S {
            return Err(PolicyError::new(
                "rate.window_s",
                format!("must be 1 to {WINDOW_MAX_S} seconds"),
            ));
        }
    }
    Ok(CompiledRule {
        id: rule.id,
        target: target_of(&rule)?,
        name: rule.name,
        mode: rule.mode,
        direction: rule.direction,
        sources: rule.sources,
        destinations: rule.destinations,
        action: rule.action,
        schedule,
        rate: rule.rate,
    })
}

fn target_of(rule: &Rule) -> Result<Option<E164>, PolicyError> {
    match (rule.action, &rule.target) {
        (Action::Redirect, Some(text)) => match text.parse() {
            Ok(Pattern::Exact(number)) => Ok(Some(number)),
            _ => Err(PolicyError::new(
                "target",
                format!("{text:?} must be one number, such as \"+12105550199\""),
            )),
        },
        (Action::Redirect, None) => Err(PolicyError::new(
            "target",
            "is needed where the action is redirect",
        )),
        (_, Some(_)) => Err(PolicyError::new(
            "target",
            "is only for the action redirect",
        )),
        (_, None) => Ok(None),
    }
}

/// What grows while the rules are gone through.
struct Tables {
    numbers: NumberMapBuilder,
    lists_used: Vec<bool>,
    sources: SideTables,
    destinations: SideTables,
}

struct SideTables {
    anything: RuleBits,
    classes: [RuleBits; NumberClass::COUNT],
    /// Rules that each tag satisfies.
    rules_of_tag: Vec<Vec<usize>>,
    /// Tag of the patterns within the first rule.
    own_tags: usize,
}

impl Tables {
    fn new(rules: &[CompiledRule], lists: usize) -> Self {
        let count = rules.len();
        let side = |own_tags| SideTables {
            anything: RuleBits::new(count),
            classes: std::array::from_fn(|_| RuleBits::new(count)),
            rules_of_tag: vec![Vec::new(); lists + 2 * count],
            own_tags,
        };
        Self {
            numbers: NumberMapBuilder::default(),
            lists_used: vec![false; lists],
            sources: side(lists),
            destinations: side(lists + count),
        }
    }

    fn add(&mut self, place: usize, rule: &CompiledRule, lists: &[String]) {
        if rule.mode == Mode::Off {
            return;
        }
        for (side, matchers) in [
            (&mut self.sources, &rule.sources),
            (&mut self.destinations, &rule.destinations),
        ] {
            if matchers.is_empty() {
                side.anything.insert(place);
            }
            for matcher in matchers {
                match matcher {
                    Matcher::Class(class) => side.classes[*class as usize].insert(place),
                    Matcher::Pattern(pattern) => {
                        let tag = side.own_tags + place;
                        self.numbers.add(*pattern, tag as u32);
                        side.rules_of_tag[tag].push(place);
                    }
                    Matcher::List(name) => {
                        if let Ok(tag) = lists.binary_search(name) {
                            self.lists_used[tag] = true;
                            side.rules_of_tag[tag].push(place);
                        }
                    }
                }
            }
        }
    }

    /// Takes every list's entries; those that have an end are given back.
    fn add_lists(
        &mut self,
        names: &[String],
        lists: Vec<List>,
        contents: &Contents<'_>,
    ) -> Result<Vec<Expiring>, PolicyError> {
        let mut expiring = Vec::new();
        for (tag, list) in lists.into_iter().enumerate() {
            let is_used = self.lists_used[tag];
            if is_used {
                self.numbers.reserve(list.entries.len());
                for pattern in list.entries {
                    self.numbers.add(pattern, tag as u32);
                }
            }
            let Some(hash) = &list.content else {
                continue;
            };
            let mut ending: Vec<(Pattern, i64)> = Vec::new();
            contents.entries(&names[tag], hash, |pattern, end| match end {
                _ if !is_used => {}
                None => self.numbers.add(pattern, tag as u32),
                Some(end) => ending.push((pattern, end)),
            })?;
            if !ending.is_empty() {
                let set = ExpiringSet::from_iter(ending);
                expiring.push(Expiring { tag, set });
            }
        }
        Ok(expiring)
    }
}

impl SideTables {
    fn finish(
        self,
        numbers: &ringfence_numbers::NumberMap,
        dynamic_tags: &[usize],
        expiring_lists: &[Expiring],
    ) -> Side {
        let mut sets = RuleRows::default();
        for tags in numbers.sets() {
            sets.push(
                tags.iter()
                    .flat_map(|&tag| self.rules_of_tag[tag as usize].iter().copied()),
            );
        }
        let mut dynamic = RuleRows::default();
        for &tag in dynamic_tags {
            dynamic.push(self.rules_of_tag[tag].iter().copied());
        }
        let mut expiring = RuleRows::default();
        for list in expiring_lists {
            expiring.push(self.rules_of_tag[list.tag].iter().copied());
        }
        Side {
            anything: self.anything,
            classes: self.classes,
            sets,
            dynamic,
            expiring,
        }
    }
}

fn bits_where(rules: &[CompiledRule], holds: impl Fn(&CompiledRule) -> bool) -> RuleBits {
    let mut bits = RuleBits::new(rules.len());
    for (place, rule) in rules.iter().enumerate() {
        if holds(rule) {
            bits.insert(place);
        }
    }
    bits
}
