//! Listens on IPv4 and IPv6 addresses.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// Maximum number of connections that the kernel queues before they are accepted.
const BACKLOG: i32 = 1024;

/// Listens on `address`. `[::]` stands for all addresses of IPv4 and IPv6, whatever the value of `net.ipv6.bindv6only`
/// on the node, and for all IPv4 addresses if the node has no IPv6. Every other address is used as it is.
///
/// # Errors
/// The address is in use, or does not belong to this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let every = address.is_ipv6() && address.ip().is_unspecified();
    if every && has_no_ipv6() {
        return bind((Ipv4Addr::UNSPECIFIED, address.port()).into());
    }
    bind(address)
}

/// Whether the kernel has no IPv6: it cannot create an IPv6 socket, or has no IPv6 address to bind it to.
fn has_no_ipv6() -> bool {
    let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) else { return true };
    let any_port = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    socket.bind(&any_port.into()).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Allows listening on a port right after a previous process that used it has ended.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn every_address_is_one_of_both_families() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("IPv4 reaches it");
        if !has_no_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("IPv6 reaches it");
        }
        let narrow = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        assert!(narrow.local_addr().expect("an address").is_ipv4());
    }
}
