//! Pieces to messages: IP fragments, TCP segments, WebSocket frames; and what was seen twice is seen once.
//!
//! ```text
//! decode ─► fragments ─► decode
//! decode ─► duplicates ─► SIP over UDP
//! decode ─► tcp: segments in order ─► framing: SIP by Content-Length, or websocket ─► SIP messages
//! ```
//! Everything here is keyed by who sends, so everything here is bounded and says what it dropped.

mod direction;
pub mod duplicates;
pub mod fragments;
pub mod framing;
pub mod tcp;
pub mod websocket;
