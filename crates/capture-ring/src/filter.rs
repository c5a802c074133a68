//! Classic BPF for the kernel, as `tcpdump -ddd FILTER` prints it: the count, then one instruction a line (or after commas).

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::str::FromStr;

/// A program that the kernel runs on every packet: what it turns down never reaches the ring.
#[derive(Clone, Debug)]
pub struct Filter {
    instructions: Vec<libc::sock_filter>,
}

/// The text is no program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterError(String);

impl fmt::Display for FilterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "filter: {}; give what `tcpdump -ddd EXPRESSION` prints",
            self.0
        )
    }
}

impl std::error::Error for FilterError {}

/// The kernel's limit (BPF_MAXINSNS).
const MAX_INSTRUCTIONS: usize = 4096;

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut lines = text
            .split(['\n', ','])
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let count: usize = lines
            .next()
            .and_then(|line| line.parse().ok())
            .filter(|count| (1..=MAX_INSTRUCTIONS).contains(count))
            .ok_or_else(|| {
                FilterError("it does not begin with a count from 1 to 4096".to_owned())
            })?;
        let instructions: Vec<_> = lines
            .map(|line| {
                instruction(line)
                    .ok_or_else(|| FilterError(format!("\"{line}\" is no instruction")))
            })
            .collect::<Result<_, _>>()?;
        if instructions.len() != count {
            return Err(FilterError(format!(
                "{} instructions where {count} were said",
                instructions.len()
            )));
        }
        Ok(Self { instructions })
    }
}

fn instruction(line: &str) -> Option<libc::sock_filter> {
    let mut words = line.split_ascii_whitespace();
    let parsed = libc::sock_filter {
        code: words.next()?.parse().ok()?,
        jt: words.next()?.parse().ok()?,
        jf: words.next()?.parse().ok()?,
        k: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(parsed)
}

impl Filter {
    pub(crate) fn attach(&self, socket: &OwnedFd) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: self.instructions.len() as u16,
            filter: self.instructions.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel only reads the program, which lives through the call, and checks it.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size_of_val(&program) as libc::socklen_t,
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tcpdump_prints_and_refuses_the_rest() {
        let udp = "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n";
        assert_eq!(udp.parse::<Filter>().unwrap().instructions.len(), 4);
        assert!("1,6 0 0 0".parse::<Filter>().is_ok());
        for wrong in [
            "",
            "udp port 5060",
            "2\n6 0 0 0",
            "1\n6 0 0",
            "1\n6 0 0 0 9",
            "0",
        ] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
    }
}
