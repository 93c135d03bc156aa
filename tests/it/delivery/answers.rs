//! What receivers answer, and what follows from it.

use std::time::Duration;

use jiff::Timestamp;
use switchhook::store::{Attempt, Delivery, DeliveryState, Filter, Reader};

use super::receiver::{Manner, Receiver};
use super::{acceptance, event, open, plan, start, subscriptions};

const HOUR: i64 = 3_600_000;

/// One event told to a receiver whose first answer is this one, with this schedule, until that is so: the delivery, its
/// attempts, and how many requests came.
fn tell(
    first: &str,
    schedule: &[Duration],
    attempt_time: Option<Duration>,
    until: impl Fn(&Delivery, &[Attempt]) -> bool,
) -> (Delivery, Vec<Attempt>, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("switchhook.db");
    let receiver = Receiver::start(Manner::First(first.to_owned()));
    let mut told = subscriptions([plan("crm", &receiver.address.to_string(), schedule.to_vec())]);
    told.attempt_time = attempt_time.unwrap_or(told.attempt_time);
    let store = open(&path);
    let delivery = start(&store, told.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let on_disk = store.accept(acceptance(&told, event("call", 1))).expect("room");
    assert!(runtime.block_on(on_disk.wait()));
    receiver.wait(|arrivals| !arrivals.is_empty());
    let reader = Reader::open(&path).expect("a database");
    let (delivery_is, attempts) = loop {
        let id = reader.deliveries(&Filter::default()).expect("a list")[0].id.clone();
        let (delivery, _, attempts) = reader.delivery(&id).expect("the delivery");
        if until(&delivery, &attempts) {
            break (delivery, attempts);
        }
    };
    runtime.block_on(async {
        delivery.stop(Duration::ZERO).await;
        assert!(store.close(Duration::from_secs(30)).await);
    });
    (delivery_is, attempts, receiver.wait(|_| true).len())
}

/// Until its first attempt is over and the next one is due some time.
fn first_over(delivery: &Delivery, attempts: &[Attempt]) -> bool {
    delivery.due.is_some() && attempts.first().is_some_and(|attempt| attempt.result.is_some())
}

fn delivered(delivery: &Delivery, _: &[Attempt]) -> bool {
    delivery.state == DeliveryState::Delivered
}

fn results(attempts: &[Attempt]) -> Vec<(&str, Option<u16>)> {
    attempts.iter().map(|a| (a.result.as_deref().unwrap_or("being made"), a.http_status)).collect()
}

#[test]
fn what_an_answer_asks_to_wait_is_waited_within_a_day() {
    let date = Timestamp::from_second(Timestamp::now().as_second() + 7200).expect("a time");
    let printed = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date);
    let printed = printed.expect("a date");
    for (asked, wait) in [("60", 60_000), ("999999999", 24 * HOUR), ("-5", 0), (printed.as_str(), 2 * HOUR)] {
        let answer = format!("HTTP/1.1 503 Busy\r\nretry-after: {asked}\r\ncontent-length: 0\r\n\r\n");
        // Without it the next attempt would be in about ten seconds.
        let (delivery, attempts, came) = tell(&answer, &[Duration::from_secs(10)], None, first_over);
        assert_eq!(results(&attempts), [("http_status", Some(503))], "{asked}");
        assert_eq!((delivery.state, came), (DeliveryState::Pending, 1), "{asked}");
        let (due, now) = (delivery.due.expect("a time"), Timestamp::now().as_millisecond());
        let (least, most) = if asked.starts_with(|c: char| c.is_ascii_alphabetic()) {
            (date.as_millisecond(), date.as_millisecond())
        } else {
            // A tenth more or less by chance, where nothing was asked.
            (attempts[0].started + wait.max(9_000), now + wait.max(11_000))
        };
        assert!((least..=most).contains(&due), "{asked}: {least} {due} {most}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_no_success() {
    let answer = "HTTP/1.1 302 Found\r\nlocation: /elsewhere/9\r\ncontent-length: 0\r\n\r\n";
    let (_, attempts, came) = tell(answer, &[Duration::from_millis(5)], None, delivered);
    assert_eq!(results(&attempts), [("http_status", Some(302)), ("ok", Some(200))]);
    assert_eq!(attempts[0].detail.as_deref(), Some("a redirect is not followed"));
    assert_eq!(came, 2);
}

#[test]
fn an_answer_that_is_not_whole_in_time_is_a_failure_and_tried_again() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab"] {
        let limit = Duration::from_millis(300);
        let (_, attempts, came) = tell(answer, &[Duration::from_millis(5)], Some(limit), delivered);
        assert_eq!(results(&attempts), [("timeout", None), ("ok", Some(200))], "{answer:?}");
        assert_eq!(came, 2, "{answer:?}");
    }
}
