//! Every metric in one table, and what is counted of calls.
//!
//! Labels hold names from the configuration and words from closed lists: never a caller, a number, a URL or a host.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::terms::{Journal, Reason, WebhookName, What};

/// Webhooks with a label value of their own, at most: each is some fifty time series.
pub const WEBHOOKS: usize = 200;

/// The label value of all other webhooks, and of names that a PBX asked for and that are none.
const OTHER: &str = "other";

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it says, in one line.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of the daemon.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often a value was at most so big.
    Histogram,
}

impl Kind {
    /// Prometheus's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help, labels }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help, labels }
}

/// The bounds of [`CALL_TIME`] and [`ANSWER_TIME`], in ms.
const CALL_BOUNDS: &[u32] = &[10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000];
const ANSWER_BOUNDS: &[u32] = &[5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// The program.
pub const BUILD: Metric =
    gauge("switchhook_build_info", &["version"], "Always 1; the label is the program's version.");
/// Calls that are over.
pub const CALLS: Metric = counter(
    "switchhook_calls_total",
    &["webhook", "reason"],
    "Calls that asked a webhook and are over, by `WEBHOOK_REASON`.",
);
/// How long calls took.
pub const CALL_TIME: Metric = Metric {
    name: "switchhook_call_duration_seconds",
    kind: Kind::Histogram,
    help: "From the question of the PBX to the end of the session, with all that the caller entered.",
    labels: &["webhook"],
};
/// How fast web servers answer.
pub const ANSWER_TIME: Metric = Metric {
    name: "switchhook_answer_duration_seconds",
    kind: Kind::Histogram,
    help: "From a request of a call to the head of the web server's answer. A request without an answer is not in it.",
    labels: &["webhook"],
};
/// Open calls.
pub const OPEN_CALLS: Metric = gauge(
    "switchhook_open_calls",
    &["listener"],
    "Calls that are open on a listener; `max_calls` is their limit.",
);
/// Whether a PBX is followed.
pub const LINK_CONNECTED: Metric =
    gauge("switchhook_link_connected", &["pbx"], "1: the calls of this PBX are followed; 0: not connected.");
/// Logins at a PBX.
pub const LINK_LOGINS: Metric =
    counter("switchhook_link_logins_total", &["pbx"], "Logins at this PBX: one, and one for each lost link.");
/// Events of a PBX's calls.
pub const LINK_EVENTS: Metric = counter(
    "switchhook_link_events_total",
    &["pbx"],
    "Events of this PBX's calls that were handed to the store.",
);
/// How far behind.
pub const LINK_LAG: Metric = gauge(
    "switchhook_link_lag_seconds",
    &["pbx"],
    "From the arrival of bytes to the keeping of what they told, the last time. It grows when the store or the machine is slow.",
);
/// How far behind at worst.
pub const LINK_MAX_LAG: Metric = gauge(
    "switchhook_link_max_lag_seconds",
    &["pbx"],
    "The longest `switchhook_link_lag_seconds` since the link was started.",
);
/// Calls of a PBX.
pub const LINK_CALLS: Metric =
    gauge("switchhook_link_calls", &["pbx"], "Calls that are open on this PBX, as far as they were seen.");
/// Attempts to tell.
pub const ATTEMPTS: Metric = counter(
    "switchhook_delivery_attempts_total",
    &["result"],
    "Attempts to tell an event, by how they came out: the words of `switchhook deliveries show`.",
);
/// What is not told yet.
pub const PENDING: Metric = gauge(
    "switchhook_deliveries_pending",
    &[],
    "Deliveries that are to be made, those of paused subscriptions too.",
);
/// How old that is.
pub const OLDEST: Metric = gauge(
    "switchhook_deliveries_oldest_pending_seconds",
    &[],
    "The age of the oldest event that is still to be told; 0: there is none.",
);
/// Who is not told.
pub const PAUSED: Metric = gauge(
    "switchhook_subscriptions_paused",
    &[],
    "Subscriptions that are paused, by a person or by failing.",
);
/// Whether the store works.
pub const STORE_UP: Metric = gauge(
    "switchhook_store_up",
    &[],
    "1: the store can be written; 0: it cannot, and what is to be kept waits.",
);
/// What waits for the store.
pub const STORE_QUEUED: Metric = gauge(
    "switchhook_store_queued_records",
    &[],
    "Records that are not on the disk yet. At 10000 journals are lost.",
);
/// What the store lost.
pub const STORE_LOST: Metric = counter(
    "switchhook_store_lost_records_total",
    &[],
    "Records that were lost: the queue was full, or they are unfit.",
);

/// All of them, in the order in which they are shown.
pub const METRICS: &[Metric] = &[
    BUILD,
    CALLS,
    CALL_TIME,
    ANSWER_TIME,
    OPEN_CALLS,
    LINK_CONNECTED,
    LINK_LOGINS,
    LINK_EVENTS,
    LINK_LAG,
    LINK_MAX_LAG,
    LINK_CALLS,
    ATTEMPTS,
    PENDING,
    OLDEST,
    PAUSED,
    STORE_UP,
    STORE_QUEUED,
    STORE_LOST,
];

/// What one look found, as Prometheus reads it.
#[derive(Debug, Default)]
pub struct Page {
    samples: HashMap<&'static str, Vec<Sample>>,
}

type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
struct Sample {
    labels: Labels,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Level(f64),
    Spread { sum: f64, buckets: Vec<(f64, u64)> },
}

impl Page {
    /// Adds the value of a counter. `labels` are the values of the metric's labels, in their order.
    pub fn count<const N: usize>(&mut self, metric: &Metric, labels: [&str; N], value: u64) {
        self.add(metric, &labels, Value::Count(value));
    }

    /// Adds the value of a gauge.
    pub fn level<const N: usize>(&mut self, metric: &Metric, labels: [&str; N], value: f64) {
        self.add(metric, &labels, Value::Level(value));
    }

    fn add(&mut self, metric: &Metric, labels: &[&str], value: Value) {
        let labels = metric.labels.iter().zip(labels).map(|(name, value)| (*name, (*value).to_owned()));
        self.samples.entry(metric.name).or_default().push(Sample { labels: labels.collect(), value });
    }

    /// The text, in version 0.0.4 of the format.
    ///
    /// # Errors
    /// None that is known: writing to a text does not fail.
    pub fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let Some(samples) = self.samples.get(metric.name) else { continue };
            // The library writes the ending of a counter itself.
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let mut family = encoder.encode_descriptor(name, metric.help, None, kind)?;
            for Sample { labels, value } in samples {
                let mut one = family.encode_family(labels)?;
                match value {
                    Value::Count(count) => one.encode_counter::<NoLabelSet, _, u64>(count, None)?,
                    Value::Level(level) => one.encode_gauge(level)?,
                    Value::Spread { sum, buckets } => {
                        let count = buckets.iter().map(|(_, count)| count).sum();
                        one.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A histogram that nobody waits for: the library's has a lock.
#[derive(Debug)]
struct Spread {
    bounds: &'static [u32],
    /// One more than there are bounds: what is bigger than all.
    counts: Vec<AtomicU64>,
    sum_us: AtomicU64,
}

impl Spread {
    fn new(bounds: &'static [u32]) -> Spread {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Spread { bounds, counts, sum_us: AtomicU64::new(0) }
    }

    fn note(&self, us: u64) {
        let at = self.bounds.partition_point(|bound| u64::from(*bound) * 1000 < us);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn value(&self) -> Value {
        let bounds = self.bounds.iter().map(|ms| f64::from(*ms) / 1000.0).chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        Value::Spread { sum, buckets: bounds.zip(counts).collect() }
    }
}

/// What is counted of one webhook's calls.
#[derive(Debug)]
struct Counted {
    reasons: Vec<AtomicU64>,
    took: Spread,
    answered: Spread,
}

impl Counted {
    fn new() -> Counted {
        let reasons = Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Counted { reasons, took: Spread::new(CALL_BOUNDS), answered: Spread::new(ANSWER_BOUNDS) }
    }
}

/// What is counted of calls: taken from their journals when they are over. Whoever hands one over waits for nothing.
#[derive(Debug)]
pub struct CallCounts {
    webhooks: ArcSwap<BTreeMap<WebhookName, Arc<Counted>>>,
    other: Counted,
}

impl CallCounts {
    /// Of these webhooks.
    pub fn new<'a>(webhooks: impl IntoIterator<Item = &'a WebhookName>) -> CallCounts {
        let calls = CallCounts { webhooks: ArcSwap::default(), other: Counted::new() };
        calls.set(webhooks);
        calls
    }

    /// Of these webhooks from now on. What was counted of those that stay is kept.
    pub fn set<'a>(&self, webhooks: impl IntoIterator<Item = &'a WebhookName>) {
        let before = self.webhooks.load();
        let counted = |name: &WebhookName| before.get(name).cloned().unwrap_or_else(|| Counted::new().into());
        let now = webhooks.into_iter().take(WEBHOOKS).map(|name| (name.clone(), counted(name))).collect();
        self.webhooks.store(Arc::new(now));
    }

    /// Counts a call that is over.
    pub fn note(&self, journal: &Journal) {
        let webhooks = self.webhooks.load();
        let counted = webhooks.get(journal.webhook.as_str()).map_or(&self.other, |counted| &**counted);
        counted.reasons[journal.reason as usize].fetch_add(1, Ordering::Relaxed);
        counted.took.note(journal.took_us);
        for step in &journal.steps {
            if let What::Response { head_us, .. } = &step.what {
                counted.answered.note(*head_us);
            }
        }
    }

    /// Puts it on a page.
    pub fn show(&self, page: &mut Page) {
        let webhooks = self.webhooks.load();
        let named = webhooks.iter().map(|(name, counted)| (name.as_str(), &**counted));
        for (name, counted) in named.chain([(OTHER, &self.other)]) {
            for (reason, count) in Reason::ALL.iter().zip(&counted.reasons) {
                page.count(&CALLS, [name, reason.as_str()], count.load(Ordering::Relaxed));
            }
            page.add(&CALL_TIME, &[name], counted.took.value());
            page.add(&ANSWER_TIME, &[name], counted.answered.value());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::CallResult;

    fn journal(webhook: &str) -> Journal {
        Journal {
            call: String::new(),
            started: 0,
            webhook: webhook.to_owned(),
            pbx: String::new(),
            unique_id: String::new(),
            linked_id: String::new(),
            did: String::new(),
            callerid: String::new(),
            result: CallResult::Failed,
            reason: Reason::Timeout,
            attempts: 0,
            took_us: 50_000,
            steps: Vec::new(),
        }
    }

    fn page(calls: &CallCounts) -> String {
        let mut page = Page::default();
        calls.show(&mut page);
        page.text().expect("text")
    }

    #[test]
    fn so_many_webhooks_have_a_name_and_keep_their_counts() {
        let names: Vec<WebhookName> =
            (0..=WEBHOOKS).map(|n| WebhookName::parse(&format!("w{n:03}")).expect("a name")).collect();
        let calls = CallCounts::new(&names);
        for name in ["w000", "w199", "w200", "stranger"] {
            calls.note(&journal(name));
        }
        let line = |name: &str, count: u32| {
            format!("switchhook_calls_total{{webhook=\"{name}\",reason=\"timeout\"}} {count}\n")
        };
        let text = page(&calls);
        assert!(text.contains(&line("w199", 1)) && text.contains(&line("other", 2)), "{text}");
        // What stays keeps its count over a reload.
        calls.set(&names[..1]);
        calls.note(&journal("w000"));
        let text = page(&calls);
        assert!(text.contains(&line("w000", 2)) && !text.contains("w199"), "{text}");
        // A value on a bound is within it.
        let bucket =
            |le: &str| format!("switchhook_call_duration_seconds_bucket{{webhook=\"w000\",le=\"{le}\"}}");
        assert!(text.contains(&format!("{} 0\n", bucket("0.01"))), "{text}");
        assert!(text.contains(&format!("{} 2\n", bucket("0.05"))), "{text}");
        assert!(text.contains("switchhook_call_duration_seconds_sum{webhook=\"w000\"} 0.1\n"), "{text}");
    }
}
