//! Options of the sockets of connections to the server, to which the driver (0.9.0) gives no access.
//!
//! - Nagle's algorithm off: COPY ends with two small writes, which would wait 40 ms each for the server's delayed
//!   acknowledgement, half of the time of a flush of 50,000 rows. A later release of the driver sets it itself again.
//! - Keepalive, and a limit on what is not acknowledged: a host that vanishes without a word (a power cut, a failover, a
//!   firewall that forgets) would otherwise hold a lane for a quarter of an hour, or for ever.
//!
//! Invariants: only descriptors of this process are looked at, none is opened, closed or kept; a descriptor that is
//! closed or used again meanwhile can at worst get the options on another TCP socket, where it does no harm.
#![allow(unsafe_code)] // calls into libc, with what makes them sound beside each

use std::mem::{MaybeUninit, size_of};

/// Where the system lists this process' descriptors.
const DESCRIPTORS: [&str; 2] = ["/proc/self/fd", "/dev/fd"];

/// Level, option, value.
type SocketOption = (libc::c_int, libc::c_int, libc::c_int);

/// What is set on every system.
const OPTIONS: [SocketOption; 2] = [
    (libc::IPPROTO_TCP, libc::TCP_NODELAY, 1),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
];

/// After 10 s of silence ask, every 5 s, three times; what was sent may stay unacknowledged for 30 s (in milliseconds).
#[cfg(target_os = "linux")]
const PATIENCE: &[SocketOption] = &[
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 10),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 5),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 30_000),
];
/// Elsewhere the options have other names: the system's patience is kept.
#[cfg(not(target_os = "linux"))]
const PATIENCE: &[SocketOption] = &[];

/// Sets the options on every TCP connection of this process to this port. Failures are ignored: it is only slower, or
/// more patient.
pub(crate) fn set_options(server_port: u16) {
    let Some(entries) = DESCRIPTORS
        .iter()
        .find_map(|path| std::fs::read_dir(path).ok())
    else {
        return;
    };
    let descriptors: Vec<libc::c_int> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in descriptors {
        if peer_port(descriptor) == Some(server_port) {
            for option in OPTIONS.iter().chain(PATIENCE) {
                set_option(descriptor, *option);
            }
        }
    }
}

/// The port of the TCP peer; `None` for anything but a connected socket of IPv4 or IPv6.
fn peer_port(descriptor: libc::c_int) -> Option<u16> {
    let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the pointer is to `length` bytes that are ours to write; a descriptor that is no socket gives an error.
    let result = unsafe { libc::getpeername(descriptor, address.as_mut_ptr().cast(), &mut length) };
    if result != 0 {
        return None;
    }
    // SAFETY: all zeros is a valid `sockaddr_storage`, and the call has written no more than that.
    let address = unsafe { address.assume_init() };
    let family = libc::c_int::from(address.ss_family);
    if family != libc::AF_INET && family != libc::AF_INET6 {
        return None;
    }
    // In both families the port stands at the same place, in network order.
    // SAFETY: `sockaddr_storage` is at least as large and as strictly aligned as `sockaddr_in`.
    let port = unsafe { (*(&raw const address).cast::<libc::sockaddr_in>()).sin_port };
    Some(u16::from_be(port))
}

fn set_option(descriptor: libc::c_int, (level, option, value): SocketOption) {
    // SAFETY: the pointer is to an int of the size that is given; other kinds of descriptors give an error.
    unsafe {
        libc::setsockopt(
            descriptor,
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn connections_to_the_port_and_no_others_are_set() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (Ok(server), Ok(other)) = (TcpListener::bind(address), TcpListener::bind(address))
            else {
                continue;
            };
            let port = server.local_addr().unwrap().port();
            let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
            let elsewhere = TcpStream::connect(other.local_addr().unwrap()).unwrap();
            let wanted = || OPTIONS.iter().chain(PATIENCE);
            let has = |socket: &TcpStream, option: &SocketOption| {
                option_of(socket, option.0, option.1) == option.2
            };
            assert!(!wanted().any(|option| has(&client, option)));
            set_options(port);
            for option in wanted() {
                assert!(has(&client, option), "{address} {option:?}");
                assert!(!has(&elsewhere, option), "{address} {option:?}");
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_host_that_vanishes_is_noticed_in_half_a_minute() {
        let patience = [
            (libc::TCP_KEEPIDLE, 10),
            (libc::TCP_KEEPINTVL, 5),
            (libc::TCP_KEEPCNT, 3),
            (libc::TCP_USER_TIMEOUT, 30_000),
        ];
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        set_options(server.local_addr().unwrap().port());
        assert_ne!(option_of(&client, libc::SOL_SOCKET, libc::SO_KEEPALIVE), 0);
        let found = patience.map(|(option, _)| {
            let value = option_of(&client, libc::IPPROTO_TCP, option);
            (option, value)
        });
        assert_eq!(found, patience);
    }

    /// What the system says of an option.
    fn option_of(socket: &TcpStream, level: libc::c_int, option: libc::c_int) -> libc::c_int {
        let mut value: libc::c_int = -1;
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the pointers are to an int and to its size, which outlive the call.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0);
        value
    }
}
