//! What a person should know of the data plane: read out by the agent, which logs it (docs/contracts.md 5, `notices`).
//!
//! An EDNS0 option that nobody knows here is told once for each client and code, with its first octets: that is how an
//! engineer finds out what a new SBC sends. Bounded whatever is sent.
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashSet;
use serde::Serialize;

/// Most pairs of client and option that are told of.
const OPTIONS_MAX: usize = 1_024;
/// Most octets shown of an option.
const SHOWN_MAX: usize = 64;
/// Most notices that wait to be read.
const WAITING_MAX: usize = 4_096;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// A client sends an option that is not known here.
    UnknownOption {
        /// Who.
        peer: IpAddr,
        /// OPTION-CODE.
        code: u16,
        /// OPTION-LENGTH.
        length: usize,
        /// The first octets of its data in hexadecimal.
        data: String,
    },
    /// No more clients and options are told of until the next start.
    UnknownOptionsFull {
        /// How many were.
        told: usize,
    },
    /// The system gave a socket a smaller receive buffer than asked for: a burst may cost queries.
    ReceiveBuffer {
        /// The socket's.
        address: String,
        /// Octets.
        asked: usize,
        /// Octets.
        granted: usize,
        /// The sysctl that limits it.
        setting: &'static str,
    },
}

/// What waits to be read; shared by all threads.
#[derive(Debug, Default)]
pub struct Notices {
    waiting: Mutex<Vec<Notice>>,
    options: Mutex<HashSet<(IpAddr, u16)>>,
}

impl Notices {
    /// Adds one.
    pub fn add(&self, notice: Notice) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(notice);
        }
    }

    /// All that wait, oldest first; then none do.
    #[must_use]
    pub fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add_option(&self, peer: IpAddr, code: u16, data: &[u8]) {
        let mut options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        if options.len() >= OPTIONS_MAX || !options.insert((peer, code)) {
            return;
        }
        let told = options.len();
        drop(options);
        self.add(Notice::UnknownOption {
            peer,
            code,
            length: data.len(),
            data: hexadecimal(&data[..data.len().min(SHOWN_MAX)]),
        });
        if told == OPTIONS_MAX {
            self.add(Notice::UnknownOptionsFull { told });
        }
    }
}

/// One thread's view: what it has told already it finds without a lock.
#[derive(Debug)]
pub struct OptionWatch {
    notices: Arc<Notices>,
    told: HashSet<(IpAddr, u16)>,
}

impl OptionWatch {
    /// For one thread.
    #[must_use]
    pub fn new(notices: Arc<Notices>) -> Self {
        Self {
            notices,
            told: HashSet::new(),
        }
    }

    /// Tells of an option unless it was told of.
    #[inline]
    pub fn saw(&mut self, peer: IpAddr, code: u16, data: &[u8]) {
        if self.told.len() < OPTIONS_MAX && self.told.insert((peer, code)) {
            self.notices.add_option(peer, code, data);
        }
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_each_client_and_option_once_over_all_threads() {
        let notices = Arc::new(Notices::default());
        let mut threads = [
            OptionWatch::new(Arc::clone(&notices)),
            OptionWatch::new(Arc::clone(&notices)),
        ];
        let (one, other) = ("192.0.2.1".parse().unwrap(), "::1".parse().unwrap());
        for _ in 0..3 {
            for watch in &mut threads {
                watch.saw(one, 65_002, &[0xAB; 100]);
                watch.saw(other, 65_002, b"");
            }
        }
        let taken = notices.take();
        assert_eq!(taken.len(), 2);
        assert_eq!(
            taken[0],
            Notice::UnknownOption {
                peer: one,
                code: 65_002,
                length: 100,
                data: "ab".repeat(64)
            }
        );
        assert_eq!(notices.take(), []);
    }

    #[test]
    fn stays_small_whatever_is_sent() {
        let notices = Arc::new(Notices::default());
        let mut watch = OptionWatch::new(Arc::clone(&notices));
        for code in 0..=u16::MAX {
            watch.saw("192.0.2.1".parse().unwrap(), code, b"x");
        }
        let taken = notices.take();
        assert_eq!(taken.len(), OPTIONS_MAX + 1);
        assert_eq!(
            taken.last(),
            Some(&Notice::UnknownOptionsFull { told: OPTIONS_MAX })
        );
        assert_eq!(watch.told.len(), OPTIONS_MAX);
    }
}
