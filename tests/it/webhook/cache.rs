//! Answers that are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use switchhook::terms::{Answer, Code, Codes, Method};
use switchhook::webhook::answer::parse;
use switchhook::webhook::{Cache, CacheKey, Question};

use super::{channel, facts, ivr, numbers, plan, requests, save_as, template, webhook};

const TTL: Duration = Duration::from_secs(60);

fn answer(text: &str) -> Arc<Answer> {
    Arc::new(parse(text.as_bytes(), None, 200, false).expect("an answer"))
}

fn key(url: &str) -> CacheKey {
    let plan = plan(webhook(url));
    requests(&plan, None).cache_key(&plan)
}

#[test]
fn an_answer_is_good_for_its_time() {
    let now = Instant::now();
    let mut cache = Cache::default();
    let key = key("http://crm/?callerid={callerid}");
    assert!(cache.get(now, &key).is_none());
    cache.put(now, key.clone(), answer("status=ACK&callername=Jan"), TTL);
    let hit = cache.get(now + TTL - Duration::from_millis(1), &key).expect("a hit");
    assert_eq!((hit.answer.callername.as_str(), hit.age), ("Jan", Duration::from_millis(59_999)));
    assert!(cache.get(now + TTL, &key).is_none());
}

#[test]
fn only_ack_is_kept() {
    let now = Instant::now();
    let mut cache = Cache::default();
    for text in ["status=NAK", "status=ERR"] {
        cache.put(now, key("http://crm/"), answer(text), TTL);
    }
    cache.put(now, key("http://crm/"), answer("status=ACK"), Duration::ZERO);
    assert!(cache.is_empty());
}

#[test]
fn the_cache_is_bounded() {
    let now = Instant::now();
    let mut cache = Cache::default();
    let big = answer(&format!("status=ACK&x={}", "y".repeat(20_000)));
    for i in 0..2_000 {
        cache.put(now, key(&format!("http://crm/{i}")), big.clone(), TTL);
        assert!(cache.bytes() <= Cache::MAX_BYTES);
    }
    assert!((100..1_000).contains(&cache.len()), "{}", cache.len());
    assert!(cache.get(now, &key("http://crm/0")).is_none());
    assert!(cache.get(now, &key("http://crm/1999")).is_some());
    cache.put(now + TTL, key("http://crm/new"), answer("status=ACK"), TTL);
    assert_eq!(cache.len(), 1);
}

/// Put in again, an answer is as new as the last time.
#[test]
fn the_oldest_goes_first() {
    let now = Instant::now();
    let mut cache = Cache::default();
    let big = answer(&format!("status=ACK&x={}", "y".repeat(20_000)));
    let put = |cache: &mut Cache, i: usize| cache.put(now, key(&format!("http://crm/{i}")), big.clone(), TTL);
    put(&mut cache, 0);
    put(&mut cache, 1);
    let mut last = 1;
    while cache.get(now, &key("http://crm/1")).is_some() {
        put(&mut cache, 0);
        last += 1;
        put(&mut cache, last);
        assert!(cache.get(now, &key("http://crm/0")).is_some());
    }
    assert!(last > 100);
}

/// The ids of a call do not make a question another one; whatever the server can see otherwise does.
#[test]
fn the_key_is_the_whole_request() {
    let url = "http://crm/?callerid={callerid}";
    let base = plan(webhook(url));
    let (channel, numbers) = (channel(), numbers());
    let mut later = facts(&channel, &numbers, None);
    later.call = "0199aa01-7c3e-7000-8abc-ffffffffffff";
    later.now += 1000;
    let again = base.render(&Question { facts: later, attempt: 2, earlier: &Codes::NONE }).cache_key(&base);
    assert_eq!(again, key(url));

    let mut others = vec![key("http://crm/?callerid={did}"), key("https://crm/?callerid={callerid}")];
    let mut changed = Vec::new();
    let mut change = |f: &dyn Fn(&mut switchhook::terms::Webhook)| {
        let mut webhook = webhook(url);
        f(&mut webhook);
        changed.push(webhook);
    };
    change(&|w| w.name = switchhook::terms::WebhookName::parse("other").expect("a name"));
    change(&|w| w.method = Method::Post);
    change(&|w| w.save_as = save_as());
    change(&|w| w.fallback_url = Some(template("http://backup/")));
    change(&|w| w.headers = vec![(http::HeaderName::from_static("x-did"), template("{did}"))]);
    change(&|w| w.headers = vec![(http::HeaderName::from_static("x-did"), template("1"))]);
    for webhook in changed {
        let plan = plan(webhook);
        others.push(requests(&plan, None).cache_key(&plan));
    }
    others.push(key(url));
    let different: std::collections::HashSet<_> = others.iter().collect();
    assert_eq!(different.len(), others.len());
}

#[test]
fn a_secret_code_is_never_kept() {
    let with = |cache: Duration, secret: Option<bool>| {
        let mut webhook = webhook("http://crm/?code={code}");
        webhook.cache = cache;
        webhook.ivr = secret.map(ivr);
        plan(webhook).is_cacheable()
    };
    assert!(with(TTL, None) && with(TTL, Some(false)));
    assert!(!with(TTL, Some(true)) && !with(Duration::ZERO, None));
    let menu = plan({
        let mut webhook = webhook("http://crm/?code={code}");
        webhook.ivr = Some(ivr(false));
        webhook
    });
    let code = |digits: &str| {
        let code = Code::parse(digits).expect("digits");
        let (channel, numbers) = (channel(), numbers());
        menu.render(&Question {
            facts: facts(&channel, &numbers, Some(&code)),
            attempt: 1,
            earlier: &Codes::NONE,
        })
        .cache_key(&menu)
    };
    assert_ne!(code("1"), code("2"));
}
