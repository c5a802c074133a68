//! `enum-floor`: the least a server of this kind can cost. Receives in batches, looks the number up among a million,
//! sends a ready-made record. No decision, no journal.
//!
//! `enum-floor --listen ADDRESS:PORT --numbers FILE --answer '!^.*$!sip:+{}@host!' [--workers N]`

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use bench_enum::arguments::Arguments;
use bench_enum::datagrams::{Batch, enlarge_buffers};
use bench_enum::table::Table;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket,
    sockopt::ReusePort,
};
use std::os::fd::AsRawFd;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let listen: SocketAddr = arguments.required("listen")?;
    let template: String = arguments.required("answer")?;
    let numbers = std::fs::read_to_string(arguments.required::<String>("numbers")?)?;
    let numbers: Vec<u64> = numbers.lines().map(str::parse).collect::<Result<_, _>>()?;
    let table = Arc::new(Table::new(&numbers, |number| {
        template.replace("{}", &number.to_string())
    }));
    let workers: Vec<_> = (0..arguments.optional("workers")?.unwrap_or(1))
        .map(|_| {
            let (socket, table) = (listener(listen)?, Arc::clone(&table));
            Ok::<_, nix::Error>(thread::spawn(move || serve(&socket, &table)))
        })
        .collect::<Result<_, _>>()?;
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")??;
    }
    Ok(())
}

fn listener(address: SocketAddr) -> nix::Result<UdpSocket> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let descriptor = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&descriptor, ReusePort, &true)?;
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    let socket = UdpSocket::from(descriptor);
    enlarge_buffers(&socket)?;
    Ok(socket)
}

fn serve(socket: &UdpSocket, table: &Table) -> nix::Result<()> {
    let mut batch = Batch::default();
    loop {
        batch.receive(socket, true)?;
        batch.answer_each(|message, length| table.answer(message, length));
        batch.drop_empty();
        while !batch.is_empty() {
            let sent = batch.send(socket)?;
            batch.drop_first(sent.max(1));
        }
    }
}
