//! Addresses as limits count them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What limits an address are counted by. An IPv6 address stands for its /64, because one subscriber has all
/// of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddress {
    V4([u8; 4]),
    /// The first 64 bits.
    V6([u8; 8]),
    /// A peer on the Unix socket that named no client: all of these count as one.
    Socket,
}

impl ClientAddress {
    /// The networks that an address is counted in, the narrowest first. A subscriber has a /64 of IPv6 at the
    /// least, and many get a /56 or a /48 (RFC 6177 §2): somebody with a /48 has 65 536 /64s. So a /56 may do
    /// four times, a /48 sixteen times what a /64 may.
    pub fn networks(self) -> impl Iterator<Item = Network> {
        let widths: &[(u8, u32)] = match self {
            Self::V6(_) => &[(64, 1), (56, 4), (48, 16)],
            Self::V4(_) | Self::Socket => &[(64, 1)],
        };
        widths.iter().map(move |&(bits, factor)| Network { first: self.masked(bits), factor })
    }

    /// The first address of the network of so many bits.
    fn masked(self, bits: u8) -> Self {
        match self {
            Self::V6(octets) => {
                Self::V6((u64::from_be_bytes(octets) & (u64::MAX << (64 - bits))).to_be_bytes())
            }
            Self::V4(_) | Self::Socket => self,
        }
    }
}

/// What is counted together: an IPv4 address, or an IPv6 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: ClientAddress,
    factor: u32,
}

impl Network {
    /// How many times the limit of one address holds for it.
    pub fn factor(self) -> u32 {
        self.factor
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(octets) => Ipv4Addr::from(*octets).fmt(f),
            Self::V6([a, b, c, d, e, g, h, i]) => {
                let network = Ipv6Addr::from([*a, *b, *c, *d, *e, *g, *h, *i, 0, 0, 0, 0, 0, 0, 0, 0]);
                write!(f, "{network}/64")
            }
            Self::Socket => f.write_str("unix"),
        }
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> ClientAddress {
        ClientAddress::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn ipv6_counts_by_the_subscriber() {
        assert_eq!(ip("2001:db8:1:2::1"), ip("2001:db8:1:2:ffff::9"));
        assert_ne!(ip("2001:db8:1:2::1"), ip("2001:db8:1:3::1"));
        assert_eq!(ip("::ffff:192.0.2.1"), ip("192.0.2.1"));
    }

    #[test]
    fn ipv6_counts_in_three_widths() {
        let of = |text| ip(text).networks().collect::<Vec<_>>();
        let (one, same56, same48) = (of("2001:db8:1:2::1"), of("2001:db8:1:3::1"), of("2001:db8:1:ff03::1"));
        assert_eq!(one.iter().map(|network| network.factor()).collect::<Vec<_>>(), [1, 4, 16]);
        assert_eq!([one[0] == same56[0], one[1] == same56[1], one[2] == same56[2]], [false, true, true]);
        assert_eq!([one[0] == same48[0], one[1] == same48[1], one[2] == same48[2]], [false, false, true]);
        assert_ne!(one[2], of("2001:db8:2:2::1")[2]);
        assert_ne!(of("2001:db8::1")[0], of("2001:db8::1")[2], "the widths of one first address stay apart");
        assert_eq!(of("192.0.2.1").len(), 1);
    }
}
