//! Calls with audio.
