//! The address of the client whose request is being served.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};

/// Prefix length of IPv6 networks. A client can choose the remaining bits freely.
const IPV6_PREFIX_BITS: u32 = 64;

tokio::task_local! {
    static CURRENT: ClientAddress;
}

/// A client address: an IPv4 address or an IPv6 network. Limits apply to each of these separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The client address of the peer `peer`. An IPv6 address is reduced to its network.
    pub fn new(peer: IpAddr) -> ClientAddress {
        ClientAddress(match peer.to_canonical() {
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & (u128::MAX << (128 - IPV6_PREFIX_BITS));
                IpAddr::V6(Ipv6Addr::from_bits(prefix))
            }
            address => address,
        })
    }

    /// Runs `work` with this address as [`ClientAddress::current`].
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Address of the request being served. `None` for the engine's own work.
    pub fn current() -> Option<ClientAddress> {
        CURRENT.try_with(|address| *address).ok()
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::new(text.parse().unwrap())
    }

    #[test]
    fn one_client_is_one_address() {
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
        assert_eq!(address("fd00::1"), address("fd00::ffff:1"));
        assert_ne!(address("fd00::1"), address("fd00:0:0:1::1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
        assert_eq!(ClientAddress::current(), None);
    }
}
