//! Signatures, checked by the package of the Standard Webhooks project.

use http::HeaderMap;
use standardwebhooks::Webhook as Verifier;
use switchhook::terms::Secret;
use switchhook::webhook::{Key, KeyError};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn the_example_of_the_specification() {
    let key = Key::parse(&Secret::new(SECRET)).expect("a key");
    let payload = br#"{"test": 2432232314}"#;
    assert_eq!(
        key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, payload),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}

#[test]
fn another_implementation_agrees() {
    let verifier = Verifier::new(SECRET).expect("a verifier");
    let key = Key::parse(&Secret::new(SECRET)).expect("a key");
    // It looks at the clock: a signature is good for five minutes.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = i64::try_from(now.as_secs()).expect("seconds");
    for (id, payload) in [("a-1", &b""[..]), ("0199-2", b"/route?a=%20&b="), ("x", "é\0".as_bytes())] {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().expect("a header"));
        headers.insert("webhook-timestamp", now.into());
        headers.insert("webhook-signature", key.sign(id, now, payload).parse().expect("a header"));
        verifier.verify(payload, &headers).expect("a good signature");
        assert!(verifier.verify(b"other", &headers).is_err());
    }
}

#[test]
fn keys_are_checked_when_they_are_read() {
    let parse = |text: &str| Key::parse(&Secret::new(text)).err();
    assert_eq!(parse(SECRET), None);
    assert_eq!(parse(&format!("{SECRET}\n")), None);
    assert_eq!(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA"), None);
    assert_eq!(parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Some(KeyError::Prefix));
    assert_eq!(parse("whsec_not base64!"), Some(KeyError::Base64));
    assert_eq!(parse("whsec_c2hvcnQ="), Some(KeyError::Length(5)));
    assert_eq!(parse(&format!("whsec_{}", "AAAA".repeat(22))), Some(KeyError::Length(66)));
}
