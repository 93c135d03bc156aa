//! Which addresses may be called. Checked for the address that is dialled, whatever name led to it.
//!
//! Web servers on the LAN are the normal case, so private ranges and loopback are allowed. What never is one, and would
//! give away a machine's credentials, is refused whatever the configuration says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Section `[egress]`, and what is refused without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    deny: Vec<IpNet>,
    allow: Vec<IpNet>,
}

/// An address that must not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} {why}")]
pub struct Blocked {
    /// The address.
    pub address: IpAddr,
    /// What it is, in words that go on after the address.
    pub why: String,
}

impl Policy {
    /// A policy with the networks of `[egress]`. `deny` is added to what is always refused; where `allow` is not empty,
    /// only its networks may be called.
    pub fn new(deny: Vec<IpNet>, allow: Vec<IpNet>) -> Policy {
        Policy { deny, allow }
    }

    /// Whether the address may be called. An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo, ISATAP) is
    /// refused where the IPv4 address itself is.
    pub fn check(&self, address: IpAddr) -> Result<(), Blocked> {
        let blocked = |why: String| Err(Blocked { address, why });
        // `::ffff:1.2.3.4` is dialled as 1.2.3.4.
        let dialled = address.to_canonical();
        let mut inside = [None; 4];
        if let IpAddr::V6(v6) = dialled {
            inside = embedded(v6);
        }
        let inside = inside.into_iter().flatten().map(IpAddr::V4);
        for candidate in std::iter::once(dialled).chain(inside) {
            let within =
                if candidate == address { String::new() } else { format!("holds {candidate}, which ") };
            if let Some(what) = always_refused(candidate) {
                return blocked(format!("{within}is {what}: never called"));
            }
            if let Some(net) = self.deny.iter().find(|net| net.contains(&candidate)) {
                return blocked(format!("{within}is in [egress] deny ({net})"));
            }
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|net| net.contains(&dialled)) {
            return blocked("is not in [egress] allow".to_owned());
        }
        Ok(())
    }
}

/// What is never a web server of the user's own.
fn always_refused(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [0, ..] => Some("an address of \"this network\" (0.0.0.0/8)"),
            [169, 254, 169, 254] => Some("the metadata service of a cloud"),
            [169, 254, ..] => Some("link-local"),
            [224..=239, ..] => Some("multicast"),
            [255, 255, 255, 255] => Some("the broadcast address"),
            // Alibaba, Azure's host, Oracle's old one.
            [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => {
                Some("the metadata service of a cloud")
            }
            _ => None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Some("the unspecified address"),
            [0xff00..=0xffff, ..] => Some("multicast"),
            [0xfe80..=0xfebf, ..] => Some("link-local"),
            // Amazon's services (fd00:ec2::/32), Google's, Oracle's, Scaleway's.
            [0xfd00, 0x0ec2, ..]
            | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
            | [0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
            | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042] => Some("the metadata service of a cloud"),
            _ => None,
        },
    }
}

/// The IPv4 addresses to which a packet for this address may be carried.
fn embedded(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let s = v6.segments();
    let o = v6.octets();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    let last = v4(s[6], s[7]);
    match s {
        // :: and ::1 are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 4],
        // IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [last, None, None, None],
        // NAT64's well-known prefix (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => [last, None, None, None],
        // NAT64's prefixes for local use (RFC 8215): /48, /56, /64 and /96 put the address in different places
        // (RFC 6052, 2.2).
        [0x64, 0xff9b, 1, ..] => {
            let at48 = Some(Ipv4Addr::new(o[6], o[7], o[9], o[10]));
            let at56 = Some(Ipv4Addr::new(o[7], o[9], o[10], o[11]));
            let at64 = Some(Ipv4Addr::new(o[9], o[10], o[11], o[12]));
            // Where the address is in another place there are zeros.
            let some = |v4: Option<Ipv4Addr>| v4.filter(|v4| v4.octets()[0] != 0);
            [some(last), some(at48), some(at56), some(at64)]
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => [v4(high, low), None, None, None],
        // Teredo (RFC 4380): the server, and the client inverted.
        [0x2001, 0, high, low, ..] => [v4(high, low), v4(!s[6], !s[7]), None, None],
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None, None, None],
        _ => [None; 4],
    }
}
