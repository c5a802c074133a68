//! SIP (RFC 3261): a message's octets become first line, header fields and body.
//!
//! Reads what real devices send, not only what the grammar allows: compact and folded forms, white space before the
//! colon, bare LF, leading line ends.
mod address;
mod check;
mod frame;
mod mask;
mod message;
mod names;
mod uri;
mod values;

pub use address::{Address, list, parameter, parameters};
pub use check::{Fault, check};
pub use frame::{BODY_MAX, Frame, frame};
pub use mask::mask;
pub use message::{HEAD_MAX, Malformed, Message, StartLine};
pub use names::{Header, Method};
pub use uri::{Scheme, Uri};
pub use values::{CSeq, Reason, Via, charging_id, number, session_expires, session_id};
