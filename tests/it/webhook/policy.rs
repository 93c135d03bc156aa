//! Which addresses may be called.

use switchhook::webhook::Policy;
use url::{Host, Url};

/// Refused whatever the configuration says.
const NEVER: &[&str] = &[
    // "This network" (RFC 1122): 0.0.0.0 reaches the machine itself.
    "0.0.0.0",
    "0.0.0.1",
    "0.1.2.3",
    "0.255.255.255",
    // Link-local (RFC 3927), and the metadata services of clouds in it.
    "169.254.0.0",
    "169.254.0.1",
    "169.254.1.1",
    "169.254.169.254",
    "169.254.169.253",
    "169.254.169.123",
    "169.254.170.2",
    "169.254.255.255",
    // Alibaba, Azure, Oracle.
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    // Multicast (RFC 5771), broadcast (RFC 919).
    "224.0.0.0",
    "224.0.0.1",
    "224.0.0.251",
    "232.1.1.1",
    "239.255.255.250",
    "239.255.255.255",
    "255.255.255.255",
    // IPv6: unspecified, link-local, multicast (RFC 4291).
    "::",
    "fe80::",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf:ffff::1",
    "ff00::",
    "ff01::1",
    "ff02::1",
    "ff02::fb",
    "ff05::2",
    "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    // Amazon, Google, Oracle, Scaleway.
    "fd00:ec2::254",
    "fd00:ec2::253",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    // IPv4-mapped (RFC 4291).
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
    "::ffff:255.255.255.255",
    "::ffff:100.100.100.200",
    "::ffff:168.63.129.16",
    "::ffff:a9fe:1",
    // IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765).
    "::169.254.169.254",
    "::224.0.0.1",
    "::ffff:0:169.254.169.254",
    "::ffff:0:168.63.129.16",
    // NAT64 (RFC 6052, RFC 8215).
    "64:ff9b::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::224.0.0.1",
    "64:ff9b::100.100.100.200",
    "64:ff9b::0.0.0.0",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:fda9:fe:a9fe::",
    "64:ff9b:1:1:a9:fea9:fe00:0",
    // 6to4 (RFC 3056).
    "2002:a9fe:a9fe::",
    "2002:a9fe:a9fe::1",
    "2002:e000:1::",
    "2002:6464:64c8::1",
    "2002:0:1::1",
    // Teredo (RFC 4380): as the server, and inverted as the client.
    "2001:0:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",
    // ISATAP (RFC 5214).
    "2001:db8::5efe:169.254.169.254",
    "2001:db8::200:5efe:169.254.169.254",
];

/// Allowed unless `[egress]` says otherwise: webhooks live on the LAN.
const USUALLY: &[&str] = &[
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "100.64.0.1",
    "100.100.100.199",
    "100.100.100.201",
    "192.0.0.191",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "1.1.1.1",
    "8.8.8.8",
    "31.13.64.1",
    "93.184.216.34",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "223.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "::1",
    "fc00::1",
    "fd00::1",
    "fd12:3456:789a::1",
    "fd00:ec3::254",
    "2001:db8::1",
    "2606:4700::1111",
    "2a00:1450:400e:80c::200e",
    "fec0::1",
    "fe7f::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::192.0.2.33",
    "64:ff9b:1:c000:2:2100::",
    "2002:c000:201::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::5efe:10.0.0.1",
];

fn verdict(policy: &Policy, address: &str) -> Result<(), String> {
    policy.check(address.parse().expect(address)).map_err(|blocked| blocked.to_string())
}

#[test]
fn some_addresses_are_never_called() {
    assert!(NEVER.len() + USUALLY.len() >= 100);
    let everything = vec!["0.0.0.0/0".parse().expect("a network"), "::/0".parse().expect("a network")];
    for policy in [Policy::default(), Policy::new(Vec::new(), everything)] {
        for address in NEVER {
            assert!(verdict(&policy, address).is_err(), "{address}");
        }
        for address in USUALLY {
            assert_eq!(verdict(&policy, address), Ok(()), "{address}");
        }
    }
}

#[test]
fn the_configuration_narrows() {
    let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().expect("a network")).collect::<Vec<_>>();
    let policy =
        Policy::new(nets(&["127.0.0.0/8", "::1/128", "10.1.0.0/16"]), nets(&["10.0.0.0/8", "2001:db8::/32"]));
    for (address, why) in [
        ("10.0.0.1", None),
        ("::ffff:10.0.0.1", None),
        ("2001:db8::1", None),
        ("10.1.0.1", Some("10.1.0.1 is in [egress] deny (10.1.0.0/16)")),
        ("::ffff:10.1.0.1", Some("::ffff:10.1.0.1 holds 10.1.0.1, which is in [egress] deny (10.1.0.0/16)")),
        ("2002:a01:1::1", Some("2002:a01:1::1 holds 10.1.0.1, which is in [egress] deny (10.1.0.0/16)")),
        ("127.0.0.1", Some("127.0.0.1 is in [egress] deny (127.0.0.0/8)")),
        ("::1", Some("::1 is in [egress] deny (::1/128)")),
        ("192.168.1.1", Some("192.168.1.1 is not in [egress] allow")),
        ("2606:4700::1111", Some("2606:4700::1111 is not in [egress] allow")),
        ("169.254.169.254", Some("169.254.169.254 is the metadata service of a cloud: never called")),
    ] {
        assert_eq!(verdict(&policy, address).err().as_deref(), why, "{address}");
    }
}

/// Ways to write an address that a filter of texts would not know. The URL parser makes plain addresses of them.
#[test]
fn hosts_in_disguise() {
    for host in [
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "0xa9.0xfe.0xa9.0xfe",
        "169.254.43518",
        "169.16689662",
        "0xA9.254.0251.254",
        "169.254.169.254.",
        "１６９.254.169.254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fd00:0ec2:0::0254]",
        "0",
        "0x0",
        "00000000000",
        "0.0",
    ] {
        let url = Url::parse(&format!("http://{host}/latest/meta-data")).expect(host);
        let ip = match url.host() {
            Some(Host::Ipv4(v4)) => v4.into(),
            Some(Host::Ipv6(v6)) => v6.into(),
            other => panic!("{host}: {other:?}"),
        };
        assert!(Policy::default().check(ip).is_err(), "{host}");
    }
}
