//! The server: sockets bound, threads started, policy switched, stopped.
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ringfence_journal::{Journal, JournalError};
use ringfence_policy::{Contents, DynamicEntries, PolicyError};
use thiserror::Error;

use crate::Config;
use crate::counters::Counters;
use crate::installed::{Installed, Service};
use crate::notices::Notice;
use crate::sink::{EventSink, NoJournal};
use crate::stages::Pipeline;
use crate::transport::{tcp, udp};

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is at fault.
    #[error("{0}")]
    Configuration(String),
    /// An address cannot be listened at.
    #[error("listen: {address}: {error}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The journal does not open.
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// The policy to start with does not compile; nothing was bound.
    #[error("policy: {0}")]
    Policy(PolicyError),
    /// A thread does not start.
    #[error("threads: {0}")]
    Thread(io::Error),
}

/// A running ENUM server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    service: Arc<Service>,
    policy: Arc<ArcSwapOption<Installed>>,
    counters: Vec<Arc<Counters>>,
    journal: Option<Arc<Journal>>,
    addresses: Vec<SocketAddr>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    sockets: Vec<Arc<UdpSocket>>,
    tcp_waker: UnixStream,
    threads: Vec<JoinHandle<()>>,
}

/// What a thread serves with.
struct Worker {
    pipeline: Pipeline<Box<dyn EventSink>>,
    policy: Arc<ArcSwapOption<Installed>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Binds, opens the journal and starts to answer, without a policy.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_with(config, None, None)
    }

    /// Compiles a policy (with the contents it names) and entries of its dynamic lists, binds, opens the journal and starts to answer: no query
    /// meets the fail mode, or a list without its entries, on the way.
    pub fn start_with(
        config: &Config,
        policy: Option<(&[u8], &Contents<'_>)>,
        entries: Option<&[u8]>,
    ) -> Result<Self, StartError> {
        let service = Arc::new(Service::new(config).map_err(StartError::Configuration)?);
        if let Some(document) = entries {
            let entries = DynamicEntries::from_bytes(document).map_err(StartError::Policy)?;
            service.entries.store(Arc::new(entries));
        }
        let policy = policy.map(|(document, contents)| service.compile_with(document, contents));
        let policy = policy.transpose().map_err(StartError::Policy)?;
        let (mut sockets, mut listeners, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for &address in &config.listen {
            let listen = |error| StartError::Listen { address, error };
            let (bound, listener) = bind(address, config).map_err(listen)?;
            if let Some(notice) = buffer_notice(&bound, config.receive_buffer_bytes) {
                service.notices.add(notice);
            }
            addresses.push(listener.local_addr().map_err(listen)?);
            sockets.extend(bound.into_iter().map(Arc::new));
            listeners.push(listener);
        }
        let journal = match &config.journal {
            Some(journal) => Some(Arc::new(Journal::open(journal.to_journal())?)),
            None => None,
        };
        let mut server = Self {
            service,
            policy: Arc::new(ArcSwapOption::new(policy.map(Arc::new))),
            counters: Vec::new(),
            journal,
            addresses,
            running: Mutex::new(None),
        };
        let (tcp_waker, tcp_woken) = UnixStream::pair().map_err(StartError::Thread)?;
        let mut running = Running {
            stop: Arc::default(),
            sockets: sockets.clone(),
            tcp_waker,
            threads: Vec::new(),
        };
        for (index, socket) in sockets.into_iter().enumerate() {
            let mut worker = server.worker(index, &running)?;
            running.spawn(format!("enum-udp-{index}"), move || {
                udp::serve(&socket, &mut worker.pipeline, &worker.policy, &worker.stop);
            })?;
        }
        let mut worker = server.worker(running.threads.len(), &running)?;
        running.spawn("enum-tcp".into(), move || {
            tcp::serve(
                &listeners,
                &tcp_woken,
                &mut worker.pipeline,
                &worker.policy,
                &worker.stop,
            );
        })?;
        server.running = Mutex::new(Some(running));
        Ok(server)
    }

    /// One for each thread: its counters and its stream of events.
    fn worker(&mut self, index: usize, running: &Running) -> Result<Worker, StartError> {
        let sink: Box<dyn EventSink> = match &self.journal {
            Some(journal) => Box::new(journal.writer(index as u32)?),
            None => Box::new(NoJournal),
        };
        let counters = Arc::new(Counters::default());
        self.counters.push(Arc::clone(&counters));
        Ok(Worker {
            pipeline: Pipeline::new(Arc::clone(&self.service), counters, sink),
            policy: Arc::clone(&self.policy),
            stop: Arc::clone(&running.stop),
        })
    }

    /// Addresses answered at, ports resolved.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Compiles a policy that carries its lists itself and switches to it; on an error the running one stays.
    pub fn install(&self, document: &[u8]) -> Result<(), PolicyError> {
        self.install_with(document, &Contents::default())
    }

    /// Compiles a policy with the contents it names and switches to it; on an error the running one stays.
    pub fn install_with(
        &self,
        document: &[u8],
        contents: &Contents<'_>,
    ) -> Result<(), PolicyError> {
        in_background(|| {
            let installed = Arc::new(self.service.compile_with(document, contents)?);
            retire(self.policy.swap(Some(installed)));
            Ok(())
        })
    }

    /// No policy: the fail mode answers.
    pub fn uninstall(&self) {
        retire(self.policy.swap(None));
    }

    /// Compiles entries of the dynamic lists and switches to them; on an error the running ones stay.
    pub fn install_entries(&self, document: &[u8]) -> Result<(), PolicyError> {
        in_background(|| {
            let entries = Arc::new(DynamicEntries::from_bytes(document)?);
            retire(Some(self.service.entries.swap(entries)));
            Ok(())
        })
    }

    /// Number of the last change of dynamic entries in force, 0 for none.
    #[must_use]
    pub fn entries_change(&self) -> u64 {
        self.service.entries.load().change()
    }

    /// Version of the policy in force, 0 for none.
    #[must_use]
    pub fn policy_version(&self) -> u32 {
        self.policy
            .load()
            .as_ref()
            .map_or(0, |installed| installed.snapshot.version())
    }

    /// Counters by name, over all threads.
    #[must_use]
    pub fn counters(&self) -> Vec<(String, u64)> {
        Counters::sum(self.counters.iter().map(Arc::as_ref))
    }

    /// What a person should know since the last call.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.service.notices.take()
    }

    /// The journal of events.
    #[must_use]
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.as_ref()
    }

    /// Closes the sockets at once, so that SBCs see a dead server and not a silent one; then flushes the journal.
    pub fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(running) = running else { return };
        drop(running);
        if let Some(journal) = &self.journal {
            journal.close();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    fn spawn(
        &mut self,
        name: String,
        serve: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let thread = Builder::new()
            .name(name)
            .spawn(serve)
            .map_err(StartError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.sockets.iter().for_each(|socket| udp::wake(socket));
        let _ = io::Write::write(&mut self.tcp_waker, &[0]);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Below the workers': they answer while a policy compiles. Not so low that a machine which is busy to the last never
/// gets to it.
const BACKGROUND_NICE: i32 = 10;

/// Runs work that may take long on a thread of its own that gives way to the workers.
fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Linux: of this thread alone. Never refused, as it is lower.
            let _ = rustix::process::setpriority_process(None, BACKGROUND_NICE);
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Frees a policy, or entries, on this thread once no worker is in the middle of a batch with it: giving back the memory
/// of a million entries takes longer than an answer may.
fn retire<T>(replaced: Option<Arc<T>>) {
    const PAUSE: Duration = Duration::from_micros(200);
    const PAUSES: usize = 5_000;
    let Some(replaced) = replaced else { return };
    for _ in 0..PAUSES {
        if Arc::strong_count(&replaced) == 1 {
            break;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the system gave the sockets of one address less than asked for.
fn buffer_notice(sockets: &[UdpSocket], asked: usize) -> Option<Notice> {
    let socket = sockets.first()?;
    let granted = udp::receive_buffer(socket);
    (granted < asked).then(|| Notice::ReceiveBuffer {
        address: socket
            .local_addr()
            .map_or_else(|_| String::new(), |address| address.to_string()),
        asked,
        granted,
        setting: "net.core.rmem_max",
    })
}

/// UDP sockets and the TCP listener of one address, on one port.
fn bind(
    address: SocketAddr,
    config: &Config,
) -> io::Result<(Vec<UdpSocket>, std::net::TcpListener)> {
    const TRIES: usize = 16;
    let mut last = None;
    // With port 0 the system picks a port that is free for UDP; it may not be for TCP.
    for _ in 0..if address.port() == 0 { TRIES } else { 1 } {
        let workers = usize::from(config.workers);
        let sockets = udp::bind(address, workers, config.receive_buffer_bytes)?;
        let Some(first) = sockets.first() else {
            continue;
        };
        match tcp::bind(first.local_addr()?) {
            Ok(listener) => return Ok((sockets, listener)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}
