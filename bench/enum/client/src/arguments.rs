//! `--name value` pairs of a command line.

use std::collections::HashMap;
use std::str::FromStr;

/// Named values of a command line.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Read pairs of `--name value`. Errors name the argument.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut pairs = HashMap::new();
        let mut words = words;
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("{word}: not an option"))?;
            let value = words
                .next()
                .ok_or_else(|| format!("--{name}: has no value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Self(pairs))
    }

    /// Value of `--name`, if it was given.
    pub fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| format!("--{name}: {text} is not valid")),
        }
    }

    /// Value of `--name`, which must be given.
    pub fn required<T: FromStr>(&self, name: &str) -> Result<T, String> {
        self.optional(name)?
            .ok_or_else(|| format!("--{name} is missing"))
    }
}
