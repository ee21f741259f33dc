//! On whose behalf something is done: the address a request came from.

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};

/// Leading bits of an IPv6 address that tell networks apart; the rest anybody in the network can make up.
const IPV6_PREFIX_BITS: u32 = 64;

tokio::task_local! {
    static CURRENT: ClientAddress;
}

/// An address as bounds count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    pub fn new(peer: IpAddr) -> ClientAddress {
        ClientAddress(match peer.to_canonical() {
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & (u128::MAX << (128 - IPV6_PREFIX_BITS));
                IpAddr::V6(Ipv6Addr::from_bits(prefix))
            }
            address => address,
        })
    }

    /// Does something on behalf of this address.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Of the request that is being worked on; none where the engine works for itself.
    pub fn current() -> Option<ClientAddress> {
        CURRENT.try_with(|address| *address).ok()
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
