//! Turns Nagle's algorithm off on connections to the server.
//!
//! The driver (0.9.0) leaves it on and gives no access to its socket. COPY ends with two small writes, which then wait
//! 40 ms each for the server's delayed acknowledgement: half of the time of a flush of 50,000 rows. To be deleted when a
//! release of the driver sets `TCP_NODELAY` itself again; it is mended in its repository.
//!
//! Invariants: only descriptors of this process are looked at, none is opened, closed or kept; a descriptor that is
//! closed or used again meanwhile can at worst get the option on another TCP socket, where it does no harm.
#![allow(unsafe_code)] // three calls into libc, with what makes them sound beside each

use std::mem::{MaybeUninit, size_of};

/// Where the system lists this process' descriptors.
const DESCRIPTORS: [&str; 2] = ["/proc/self/fd", "/dev/fd"];

/// Sets `TCP_NODELAY` on every TCP connection of this process to this port. Failures are ignored: it is only slower.
pub(crate) fn set_nodelay(server_port: u16) {
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
            set_option(descriptor);
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

fn set_option(descriptor: libc::c_int) {
    let on: libc::c_int = 1;
    // SAFETY: the pointer is to an int of the size that is given; other kinds of descriptors give an error.
    unsafe {
        libc::setsockopt(
            descriptor,
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

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
            assert!(!client.nodelay().unwrap());
            set_nodelay(port);
            assert!(client.nodelay().unwrap(), "{address}");
            assert!(!elsewhere.nodelay().unwrap(), "{address}");
        }
    }
}
