//! Distinct sets of tags, each stored once.
use hashbrown::HashMap;

/// Names a set of tags within one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SetId(pub(super) u32);

impl SetId {
    /// The set without tags.
    pub const EMPTY: Self = Self(0);

    /// Its place in a table with a row for each set.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Makes sets by adding and removing one tag at a time; each step is remembered, so a million equal steps cost a look-up each.
#[derive(Debug)]
pub(super) struct Interner {
    tags: Vec<Box<[u32]>>,
    ids: HashMap<Box<[u32]>, SetId>,
    steps: HashMap<(SetId, u32), SetId>,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            tags: vec![Box::default()],
            ids: HashMap::from([(Box::default(), SetId::EMPTY)]),
            steps: HashMap::new(),
        }
    }
}

impl Interner {
    /// The set and this tag.
    pub(super) fn with(&mut self, set: SetId, tag: u32) -> SetId {
        self.step(set, tag, true)
    }

    /// The set without this tag.
    pub(super) fn without(&mut self, set: SetId, tag: u32) -> SetId {
        self.step(set, tag, false)
    }

    pub(super) fn into_tags(self) -> Vec<Box<[u32]>> {
        self.tags
    }

    fn step(&mut self, set: SetId, tag: u32, wanted: bool) -> SetId {
        if let Some(&known) = self.steps.get(&(set, tag)) {
            // One entry serves both ways: a set either has the tag or not, so there is one other set.
            return known.or_same(self, set, tag, wanted);
        }
        let tags = &self.tags[set.index()];
        let other: Box<[u32]> = match tags.binary_search(&tag) {
            Ok(place) => [&tags[..place], &tags[place + 1..]].concat().into(),
            Err(place) => [&tags[..place], &[tag], &tags[place..]].concat().into(),
        };
        let id = match self.ids.get(&other) {
            Some(&id) => id,
            None => {
                let id = SetId(self.tags.len() as u32);
                self.tags.push(other.clone());
                self.ids.insert(other, id);
                id
            }
        };
        self.steps.insert((set, tag), id);
        id.or_same(self, set, tag, wanted)
    }
}

impl SetId {
    /// `self` is `set` with `tag` toggled: take it if that is what is wanted, else `set` is right already.
    fn or_same(self, interner: &Interner, set: Self, tag: u32, wanted: bool) -> Self {
        let has = interner.tags[set.index()].binary_search(&tag).is_ok();
        if has == wanted { set } else { self }
    }
}
