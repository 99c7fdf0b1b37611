//! Which addresses are not on the public internet, and what they are for.
//!
//! IPv4 is public unless a range says otherwise. IPv6 is the other way round: only global unicast (`2000::/3`) is
//! public, less the ranges in it that are not. An IPv6 address that stands for an IPv4 one (mapped, NAT64) is what the
//! IPv4 one is; 6to4 and Teredo, which nobody serves from any more, are refused whatever they embed.
//! Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), 2025; RFC 6052; RFC 7526.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges of IPv4 that are not public, each with its prefix length and use.
const V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a carrier (CGNAT)"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // A public block, but inside its cloud this one address answers every virtual machine with its configuration.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's metadata service"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Ranges of IPv6 that are not public. Those outside `2000::/3` are here for their names only.
const V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, "for benchmarks"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// Where public IPv6 addresses are given out.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// The well-known prefix behind which an IPv6-only network shows the IPv4 internet (RFC 6052).
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Says what the address is for if it is not public; `None` for a public one.
pub(super) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => v4_use(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => v4_use(inner),
            None => v6_use(address),
        },
    }
}

fn v4_use(address: Ipv4Addr) -> Option<&'static str> {
    let within = |base: Ipv4Addr, length| (u32::from(address) ^ u32::from(base)).leading_zeros() >= length;
    V4.iter().find(|(base, length, _)| within(*base, *length)).map(|(_, _, kind)| *kind)
}

fn v6_use(address: Ipv6Addr) -> Option<&'static str> {
    let known = V6.iter().find(|(base, length, _)| v6_within(address, *base, *length)).map(|(_, _, kind)| *kind);
    let (base, length) = GLOBAL_UNICAST;
    known.or_else(|| (!v6_within(address, base, length)).then_some("reserved"))
}

/// The IPv4 address that a mapped or NAT64 address stands for.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (base, length) = NAT64;
    if !v6_within(address, base, length) {
        return address.to_ipv4_mapped();
    }
    let [.., a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(a, b, c, d))
}

fn v6_within(address: Ipv6Addr, base: Ipv6Addr, length: u32) -> bool {
    (u128::from(address) ^ u128::from(base)).leading_zeros() >= length
}
