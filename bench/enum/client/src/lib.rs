//! Load client and floor of `bench/enum`: what measures an ENUM server, and the least a UDP server can cost.
//!
//! `enum-load` sends DNS queries from a file and measures what comes back; `enum-floor` answers from a table and
//! does nothing else. Neither is part of the product.

pub mod arguments;
pub mod datagrams;
pub mod histogram;
pub mod table;
