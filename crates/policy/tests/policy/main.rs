//! The engine from outside: documents, lists and dynamic entries in, decisions out. One binary, so one link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bulk;
mod content;
mod document;
mod dynamic;
mod model;
