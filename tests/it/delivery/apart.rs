//! A bad receiver delays nobody else.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::Duration;

use switchhook::delivery::AT_ONCE;
use switchhook::store::{DeliveryState, Filter, Reader};
use switchhook::terms::Subscription;

use super::receiver::{Manner, Receiver, assert_in_order};
use super::{EVENTS, acceptance, event, open, start, subscriptions};

/// Events for each receiver.
const COUNT: u32 = 1_000;

/// One receiver hangs, one is down, one is well, and their names are in the order in which they would be served. When the
/// well one has everything, the first attempts at the one that hangs are still being made: it did not wait for any.
#[test]
fn a_receiver_that_is_well_waits_for_none_that_hangs_or_is_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("switchhook.db");
    let hangs = Receiver::start(Manner::Hangs);
    let well = Receiver::start(Manner::Well);
    let down = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port that is closed");
    let usual = || Subscription::SCHEDULE.to_vec();
    let told = subscriptions([
        super::plan("a-hangs", &hangs.address.to_string(), usual()),
        super::plan("b-down", &down.to_string(), usual()),
        super::plan("c-well", &well.address.to_string(), usual()),
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let store = open(&path);
    let delivery = start(&store, told.clone());
    runtime.block_on(async {
        let mut last = None;
        for n in 0..COUNT {
            let (call, seq) = (n / EVENTS, n % EVENTS + 1);
            last = Some(store.accept(acceptance(&told, event(&format!("call-{call}"), seq))).expect("room"));
        }
        assert!(last.expect("some").wait().await);
    });

    let arrivals = well.wait(|arrivals| arrivals.len() >= COUNT as usize);
    assert_eq!(assert_in_order(&arrivals), 0);
    let calls: HashSet<&str> = arrivals.iter().map(|a| a.call.as_str()).collect();
    assert_eq!(calls.len() * EVENTS as usize, COUNT as usize);

    // Those at the one that hangs: as many as it may have, none of them over.
    let reader = Reader::open(&path).expect("a database");
    let of = |name: &str| {
        let filter = Filter { subscription: Some(name.to_owned()), ..Filter::default() };
        reader.deliveries(&filter).expect("a list")
    };
    let tried: Vec<_> = of("a-hangs").into_iter().filter(|d| d.attempts > 0).collect();
    assert_eq!(tried.len(), AT_ONCE);
    for delivery in &tried {
        let (_, _, attempts) = reader.delivery(&delivery.id).expect("the delivery");
        assert_eq!((attempts.len(), attempts[0].result.as_deref()), (1, None), "it was waited for");
    }
    // And nothing was lost of what could not be told.
    for name in ["a-hangs", "b-down"] {
        let all = of(name);
        let pending = all.iter().all(|d| d.state == DeliveryState::Pending);
        assert!(all.len() == COUNT as usize && pending, "{name}");
    }
    runtime.block_on(async {
        delivery.stop(Duration::ZERO).await;
        assert!(store.close(Duration::from_secs(30)).await);
    });
    let states = of("c-well").iter().filter(|d| d.state == DeliveryState::Delivered).count();
    // The result of the last ones may have been on its way when it stopped.
    assert!(states + AT_ONCE >= COUNT as usize, "{states}");
}
