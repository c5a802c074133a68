//! A policy version compiled for deciding.
use std::net::IpAddr;

use ringfence_numbers::{DialPlan, Direction, E164, NumberClass, NumberMap, Party, SetId};

use crate::bits::{Row, RuleBits, RuleRows};
use crate::content::Expiring;
use crate::document::{Matcher, Mode, Rate, RuleDirection};
use crate::network::NetworkMap;
use crate::schedule::CompiledSchedule;
use crate::{Action, Answers, Contents, Document, PolicyError};

/// A compiled policy version. Immutable: a change is a new snapshot, switched as a whole.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) version: u32,
    pub(crate) plan: DialPlan,
    pub(crate) answers: Answers,
    pub(crate) profiles: Vec<Answers>,
    pub(crate) clients: NetworkMap<ProfileId>,
    pub(crate) rules: Vec<CompiledRule>,
    pub(crate) schedules: Vec<CompiledSchedule>,
    /// Which tags (lists, and the patterns within a rule) hold a number.
    pub(crate) numbers: NumberMap,
    /// Names of lists; a list's tag is its place.
    pub(crate) lists: Vec<String>,
    /// Names of the dynamic lists that rules name, in order.
    pub(crate) dynamic: Vec<String>,
    /// Entries with an end of the lists that rules name, by list.
    pub(crate) expiring: Vec<Expiring>,
    pub(crate) sources: Side,
    pub(crate) destinations: Side,
    /// By direction of the call.
    pub(crate) directions: [RuleBits; Direction::COUNT],
}

/// A profile of a snapshot: its place in [`Snapshot::profiles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileId(u16);

impl ProfileId {
    pub(crate) fn new(place: usize) -> Self {
        Self(place as u16)
    }

    /// The place.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What `decide` and `explain` need of a rule beyond its bits.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) direction: RuleDirection,
    pub(crate) sources: Vec<Matcher>,
    pub(crate) destinations: Vec<Matcher>,
    pub(crate) action: Action,
    pub(crate) target: Option<E164>,
    /// Place in `schedules`.
    pub(crate) schedule: Option<usize>,
    pub(crate) rate: Option<Rate>,
}

/// Which rules a source (or destination) satisfies.
#[derive(Debug)]
pub(crate) struct Side {
    /// Rules that ask nothing of it.
    pub(crate) anything: RuleBits,
    pub(crate) classes: [RuleBits; NumberClass::COUNT],
    /// By set of tags.
    pub(crate) sets: RuleRows,
    /// By place in [`Snapshot::dynamic`].
    pub(crate) dynamic: RuleRows,
    /// By place in [`Snapshot::expiring`].
    pub(crate) expiring: RuleRows,
}

/// A call as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub source: Party,
    /// Who is called.
    pub destination: Party,
    /// From the site's own ranges.
    pub direction: Direction,
}

impl Snapshot {
    /// Reads and compiles a document that carries its lists itself.
    pub fn from_bytes(document: &[u8]) -> Result<Self, PolicyError> {
        Self::with_contents(document, &Contents::default())
    }

    /// Reads and compiles a document with the contents of lists that it names.
    pub fn with_contents(document: &[u8], contents: &Contents<'_>) -> Result<Self, PolicyError> {
        Self::compile(Document::parse(document)?, contents)
    }

    /// Number of the version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The site's dial plan.
    #[must_use]
    pub fn plan(&self) -> &DialPlan {
        &self.plan
    }

    /// Further ways to write actions, for the SBCs that have one.
    #[must_use]
    pub fn profiles(&self) -> &[Answers] {
        &self.profiles
    }

    /// The profile of the SBC at this address; without one the default answers stand.
    #[inline]
    #[must_use]
    pub fn profile_of(&self, client: IpAddr) -> Option<ProfileId> {
        self.clients.get(client)
    }

    /// How actions are written.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The call between two parties, with its direction.
    #[must_use]
    pub fn call(&self, source: Party, destination: Party) -> Call {
        Call {
            source,
            destination,
            direction: self.plan.direction(&source, &destination),
        }
    }

    /// Destinations that are about to be decided, E.164 digits: where their decisions will look in a large list is brought
    /// closer to the processor, for all of them at once.
    #[inline]
    pub fn touch(&self, destinations: &[u64]) {
        self.numbers.touch(destinations);
    }

    /// Memory of the numbers listed, octets.
    #[must_use]
    pub fn numbers_memory(&self) -> usize {
        self.numbers.memory()
    }
}

/// Most sets that a number is usually in: one each of exact, range, prefix and any, and some wildcards.
const SETS_INLINE: usize = 8;

/// The rules that one party satisfies, a word at a time.
pub(crate) struct Satisfied<'a> {
    anything: &'a RuleBits,
    class: &'a RuleBits,
    rows: [Row<'a>; SETS_INLINE],
    count: usize,
    more: Vec<Row<'a>>,
}

impl Side {
    #[inline]
    pub(crate) fn satisfied(&self, numbers: &NumberMap, party: &Party) -> Satisfied<'_> {
        let class = &self.classes[party.class as usize];
        let rows = [Row::default(); SETS_INLINE];
        let mut satisfied = Satisfied {
            anything: &self.anything,
            class,
            rows,
            count: 0,
            more: Vec::new(),
        };
        if let Some(number) = party.number {
            numbers.look_up(number, |set| satisfied.add(self.row(set)));
        }
        satisfied
    }

    fn row(&self, set: SetId) -> Row<'_> {
        self.sets.row(set.index())
    }
}

impl<'a> Satisfied<'a> {
    pub(crate) fn add(&mut self, row: Row<'a>) {
        match self.rows.get_mut(self.count) {
            Some(slot) => {
                *slot = row;
                self.count += 1;
            }
            None => self.more.push(row),
        }
    }

    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        let rows = self.rows[..self.count].iter().chain(&self.more);
        rows.fold(
            self.anything.word(index) | self.class.word(index),
            |word, row| word | row.word(index),
        )
    }
}
