use super::*;

fn strict(text: &str) -> Result<Target, Refusal> {
    Target::parse(text, &Policy::default())
}

/// What a refused address is said to be, or `public`.
fn kind(address: &str) -> &'static str {
    ranges::not_public(address.parse().unwrap()).unwrap_or("public")
}

#[test]
fn a_plain_public_address_is_taken_whole() {
    let target = strict("https://Hooks.Example.com:8443/in/é?x=1".replace('é', "%C3%A9").as_str()).unwrap();
    assert_eq!(&**target.origin(), "https://hooks.example.com:8443");
    assert_eq!(target.authority(), "hooks.example.com:8443");
    assert_eq!(target.path(), "/in/%C3%A9?x=1");
    assert_eq!(strict("https://hooks.example.com").unwrap().path(), "/");
    assert_eq!(strict("https://hooks.example.com:443?x").unwrap().authority(), "hooks.example.com");
    for text in [
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://xn--caff-8oa.example/",
        "https://a.b.c.1d.example/",
    ] {
        assert!(strict(text).is_ok(), "{text}");
    }
}

/// T51: every disguise of a private address, and every form that two parsers may read differently.
#[test]
fn t51_an_address_in_disguise_is_refused_before_any_lookup() {
    let disguised = [
        "https://2130706433/",
        "https://134744072/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0X7F.0.0.1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.1./",
        "https://127.00.0.1/",
        "https://8.8.8.010/",
        "https://127%2e0%2e0%2e1/",
        "https://ex%61mple.com/",
    ];
    for text in disguised {
        assert_eq!(strict(text).unwrap_err(), Refusal::DisguisedHost, "{text}");
    }
    let malformed = [
        "",
        "https:",
        "https://",
        "https:///example.com",
        "https:example.com",
        "https:\\\\example.com",
        "https://example.com\\@127.0.0.1/",
        "https://exa\tmple.com/",
        "https://example.com/a b",
        "https://example.com/\r\nhost: x",
        " https://example.com/",
        "https://①②⑦.⓪.⓪.①/",
        "https://caffè.example/",
        "https://1.2.3.4.5/",
        "https://256.0.0.1/",
        "https://example.0x1/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://example.com:99999/",
        "https://example.com:abc/",
        "https://exa_mple^.com/",
    ];
    for text in malformed {
        assert_eq!(strict(text).unwrap_err(), Refusal::Malformed, "{text}");
    }
    assert_eq!(strict(&format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES))).unwrap_err(), Refusal::Malformed);
}

#[test]
fn what_an_endpoint_has_no_use_for_is_refused_by_name() {
    let cases = [
        ("http://example.com/", Refusal::Scheme),
        ("ftp://example.com/", Refusal::Scheme),
        ("file:///etc/passwd", Refusal::Malformed),
        ("gopher://example.com/", Refusal::Scheme),
        ("https://user@example.com/", Refusal::UserInfo),
        ("https://user:secret@example.com/", Refusal::UserInfo),
        ("https://example.com@127.0.0.1/", Refusal::UserInfo),
        ("https://example.com/#top", Refusal::Fragment),
        ("https://example.com:80/", Refusal::Port(80)),
        ("https://example.com:22/", Refusal::Port(22)),
        ("https://example.com:0/", Refusal::Port(0)),
    ];
    for (text, refusal) in cases {
        assert_eq!(strict(text).unwrap_err(), refusal, "{text}");
    }
}

/// T51: a literal address is refused when the endpoint is registered, not first when a hook is due.
#[test]
fn t51_a_literal_private_address_is_refused_at_once() {
    for host in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::a9fe:a9fe]"] {
        let refused = strict(&format!("https://{host}/")).unwrap_err();
        assert!(matches!(refused, Refusal::NotPublic { .. }), "{host}: {refused}");
    }
}

#[test]
fn every_special_range_is_known_from_its_first_to_its_last_address() {
    let ranges = [
        ("0.0.0.0", "0.255.255.255", "unspecified"),
        ("10.0.0.0", "10.255.255.255", "private"),
        ("100.64.0.0", "100.127.255.255", "shared by a carrier (CGNAT)"),
        ("127.0.0.0", "127.255.255.255", "loopback"),
        ("168.63.129.16", "168.63.129.16", "a cloud's metadata service"),
        ("169.254.0.0", "169.254.255.255", "link-local"),
        ("172.16.0.0", "172.31.255.255", "private"),
        ("192.0.0.0", "192.0.0.255", "reserved"),
        ("192.0.2.0", "192.0.2.255", "for documentation"),
        ("192.88.99.0", "192.88.99.255", "a 6to4 relay"),
        ("192.168.0.0", "192.168.255.255", "private"),
        ("198.18.0.0", "198.19.255.255", "for benchmarks"),
        ("198.51.100.0", "198.51.100.255", "for documentation"),
        ("203.0.113.0", "203.0.113.255", "for documentation"),
        ("224.0.0.0", "239.255.255.255", "multicast"),
        ("240.0.0.0", "255.255.255.255", "reserved"),
        ("::", "::", "unspecified"),
        ("::1", "::1", "loopback"),
        ("::7f00:1", "::ffff:ffff", "reserved"),
        ("::ffff:0:7f00:1", "::ffff:0:a00:1", "reserved"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "reserved"),
        ("100::", "100::ffff:ffff:ffff:ffff", "reserved"),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "for benchmarks"),
        ("2001:10::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
    ];
    for (first, last, what) in ranges {
        assert_eq!((kind(first), kind(last)), (what, what), "{first} to {last}");
    }
}

#[test]
fn the_neighbours_of_special_ranges_are_public() {
    let public = [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "3ffe::",
        "3fff:1000::",
    ];
    for address in public {
        assert_eq!(kind(address), "public", "{address}");
    }
}

/// T51: an IPv4 address stays what it is behind a mapped or NAT64 spelling; a public one too.
#[test]
fn t51_an_embedded_ipv4_address_counts_as_itself() {
    assert_eq!(kind("::ffff:127.0.0.1"), "loopback");
    assert_eq!(kind("::ffff:169.254.169.254"), "link-local");
    assert_eq!(kind("64:ff9b::10.0.0.1"), "private");
    assert_eq!(kind("64:ff9b::100.100.100.200"), "shared by a carrier (CGNAT)");
    assert_eq!((kind("::ffff:8.8.8.8"), kind("64:ff9b::8.8.8.8")), ("public", "public"));
    assert_eq!(kind("2002:7f00:1::"), "6to4");
}

/// T51: a name that answers with one public and one private address is refused, in either order.
#[test]
fn t51_one_private_address_spoils_the_answer() {
    let public = SocketAddr::from(([8, 8, 8, 8], 443));
    let private = SocketAddr::from(([10, 0, 0, 1], 443));
    let policy = Policy::default();
    assert_eq!(policy.check_all(vec![public]), Ok(vec![public]));
    assert!(policy.check_all(vec![public, private]).is_err());
    assert!(policy.check_all(vec![private, public]).is_err());
    assert_eq!(policy.check_all(vec![]), Err(Refusal::Unresolved));
    assert_eq!(policy.check_all(vec![public; MAX_ADDRESSES + 1]), Err(Refusal::Unresolved));
}

#[test]
fn t51_the_installations_own_public_address_is_refused_in_every_spelling() {
    let policy = Policy { own: vec!["8.8.8.8".parse().unwrap()], ..Policy::default() };
    let refused = Target::parse("https://[::ffff:8.8.8.8]/", &policy).unwrap_err();
    assert!(refused.to_string().ends_with("is not public: it is our own"), "{refused}");
    assert!(Target::parse("https://8.8.4.4/", &policy).is_ok());
}

/// T51: names are checked by what they resolve to, each time anew.
#[tokio::test]
async fn t51_a_name_for_this_machine_is_refused_when_it_is_resolved() {
    let target = strict("https://localhost/").unwrap();
    let refused = Policy::default().resolve(&target).await.unwrap_err();
    assert!(matches!(refused, Refusal::NotPublic { kind: "loopback", .. }), "{refused}");
}

#[tokio::test]
async fn the_demo_may_go_to_this_machine_in_the_clear() {
    let open = Policy { allow_private: true, allow_http: true, own: Vec::new() };
    let target = Target::parse("http://127.0.0.1:9999/", &open).unwrap();
    assert_eq!(open.resolve(&target).await, Ok(vec![SocketAddr::from(([127, 0, 0, 1], 9_999))]));
    // The disguise is refused all the same.
    assert_eq!(Target::parse("http://2130706433:9999/", &open).unwrap_err(), Refusal::DisguisedHost);
}
