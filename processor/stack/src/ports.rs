//! Free loopback ports, each kept for one stack until it is dropped.
//!
//! Ports come from below the ranges that systems take outgoing connections' ports from (Linux: 32768 up). A client that
//! keeps reconnecting while a service is down could otherwise be given the service's own port, and keep it from coming back.
//! A lock file per port keeps two stacks that start at once apart, also across processes; the system frees it with the process.
//!
//! Must not know: which service a port is for.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File},
    hash::BuildHasher,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use crate::error::StackError;

const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A port that no other stack takes while this value lives.
#[derive(Debug)]
pub(crate) struct PortLease {
    port: u16,
    _lock: File,
}

impl PortLease {
    /// Takes a free port.
    pub(crate) fn take() -> Result<Self, StackError> {
        let span = LAST - FIRST + 1;
        // Two stacks that start at once begin their search at different places.
        let offset = (RandomState::new().hash_one(std::process::id()) % u64::from(span)) as u16;
        (0..span)
            .map(|step| FIRST + (offset + step) % span)
            .find_map(|port| {
                let lock = lock(port)?;
                is_free(port).then_some(Self { port, _lock: lock })
            })
            .ok_or(StackError::NoFreePort {
                first: FIRST,
                last: LAST,
            })
    }

    /// The port on 127.0.0.1.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

/// Whether nobody listens on the port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port's lock, unless another stack holds it (or another user's file is in the way).
fn lock(port: u16) -> Option<File> {
    let folder = std::env::temp_dir().join("rollcall-ports");
    if fs::create_dir(&folder).is_ok() {
        // Shared by all users of the machine, as the temporary folder itself is.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).ok()?;
    }
    let file = open(&folder.join(port.to_string()))?;
    file.try_lock().ok()?;
    Some(file)
}

fn open(path: &Path) -> Option<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_differ_while_they_live() {
        let leases: Vec<_> = (0..50)
            .map(|_| PortLease::take().expect("a free port"))
            .collect();
        let mut ports: Vec<_> = leases.iter().map(|lease| lease.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), leases.len());
        assert!(ports.iter().all(|port| (FIRST..=LAST).contains(port)));
    }
}
