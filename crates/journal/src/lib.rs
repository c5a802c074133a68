//! (see docs/contracts.md)
