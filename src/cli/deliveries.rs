//! `switchhook deliveries`: which event was told whom, when, what came back; having it told again, or stopping it.

use std::path::Path;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::actor::actor;
use super::explain::{columns, json, print};
use super::place::Place;
use super::transcript::{clean, date};
use crate::store::{
    Attempt, Delivery, DeliveryState, Filter, NotFound, Reader, cancel_deliveries, retry_deliveries,
};
use crate::terms::EventKind;
use crate::webhook::ShownRequest;

/// Deliveries in a list when no number is given.
const LISTED: u32 = 20;

/// Which events were told whom, and what came back
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Deliveries {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// The newest deliveries as a table
    List {
        #[command(flatten)]
        which: Which,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = LISTED)]
        limit: u32,
        /// JSON: an array
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// One delivery: its event, and each attempt with request and answer
    Show {
        /// Its id (`webhook-id`), or the beginning of one
        id: String,
        /// JSON: one object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Try again at once. With filters and no --status: exhausted ones alone
    Retry(Change),
    /// Stop pending deliveries
    Cancel(Change),
}

/// Deliveries that are changed.
#[derive(Clone, Debug, clap::Args)]
struct Change {
    /// Their ids, or beginnings of them
    #[arg(value_name = "ID", required_unless_present = "filter")]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// JSON: how many
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Which deliveries.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "filter", multiple = true)]
struct Which {
    /// Of this subscription
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// Of this event
    #[arg(long, value_parser = PossibleValuesParser::new(EventKind::ALL.iter().map(|kind| kind.as_str())))]
    event: Option<String>,
    /// That stand like this
    #[arg(long, value_parser = PossibleValuesParser::new(DeliveryState::ALL.map(DeliveryState::as_str)))]
    status: Option<String>,
    /// Of calls from or to this number, or one that ends so
    #[arg(long)]
    number: Option<String>,
    /// Accepted then or later: `2026-11-22`, `2026-11-22T14:30`, with `Z` or an offset where it is not local time
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// Accepted before
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<i64>,
}

impl Which {
    fn filter(&self) -> Filter {
        let state = DeliveryState::ALL.into_iter().find(|s| Some(s.as_str()) == self.status.as_deref());
        Filter {
            subscription: self.subscription.clone(),
            event: self.event.clone(),
            state,
            number: self.number.clone(),
            from: self.from,
            to: self.to,
            ..Filter::default()
        }
    }
}

/// A time as people write it, in ms since 1970.
fn time(text: &str) -> Result<i64, String> {
    let local = || text.parse::<civil::DateTime>().and_then(|t| t.to_zoned(TimeZone::system()));
    let at = text.parse::<Timestamp>().or_else(|_| local().map(|zoned| zoned.timestamp()));
    at.map(Timestamp::as_millisecond).map_err(|_| "write it as 2026-11-22 or 2026-11-22T14:30".to_owned())
}

impl Deliveries {
    /// Prints or changes what is asked for.
    pub(super) fn run(self) -> ExitCode {
        let (Action::List { place, .. }
        | Action::Show { place, .. }
        | Action::Retry(Change { place, .. })
        | Action::Cancel(Change { place, .. })) = &self.action;
        match place.find() {
            Ok((store, _)) => print(text(&self.action, &store)),
            Err(exit) => exit,
        }
    }
}

fn text(action: &Action, store: &Path) -> Result<String, NotFound> {
    match action {
        Action::List { which, limit, json: as_json, .. } => {
            let filter = Filter { limit: Some(*limit), ..which.filter() };
            let found = Reader::open(store)?.deliveries(&filter)?;
            Ok(if *as_json { json(&found) } else { table(&found, &TimeZone::system()) })
        }
        Action::Show { id, json: as_json, .. } => {
            let (delivery, event, attempts) = Reader::open(store)?.delivery(id)?;
            Ok(if *as_json {
                shown_json(&delivery, &event, &attempts)
            } else {
                shown(&delivery, &event, &attempts, &TimeZone::system())
            })
        }
        Action::Retry(change) => {
            let mut filter = change.filter(store)?;
            if filter.ids.is_empty() && filter.state.is_none() {
                filter.state = Some(DeliveryState::Exhausted);
            }
            let count = retry_deliveries(store, &filter, &actor())?;
            let what = "tried again. A running daemon notices within about a second";
            Ok(change.say(count, "retried", what))
        }
        Action::Cancel(change) => {
            let count = cancel_deliveries(store, &change.filter(store)?, &actor())?;
            Ok(change.say(count, "cancelled", "stopped"))
        }
    }
}

impl Change {
    fn filter(&self, store: &Path) -> Result<Filter, NotFound> {
        let reader = Reader::open(store)?;
        let ids = self.ids.iter().map(|id| reader.delivery_id(id)).collect::<Result<_, _>>()?;
        Ok(Filter { ids, ..self.which.filter() })
    }

    fn say(&self, count: usize, key: &str, what: &str) -> String {
        if self.json {
            json(&serde_json::json!({ key: count }))
        } else if count == 1 {
            format!("1 delivery is {what}.\n")
        } else {
            format!("{count} deliveries are {what}.\n")
        }
    }
}

fn table(deliveries: &[Delivery], zone: &TimeZone) -> String {
    if deliveries.is_empty() {
        return "No deliveries.\n".to_owned();
    }
    let header =
        ["ID", "ACCEPTED", "SUBSCRIPTION", "EVENT", "FROM", "TO", "STATUS", "ATTEMPTS"].map(str::to_owned);
    let row = |d: &Delivery| {
        [
            d.id.clone(),
            date(d.accepted, zone),
            clean(&d.subscription),
            d.event.clone(),
            clean(&d.callfrom),
            clean(&d.callto),
            d.state.as_str().to_owned(),
            d.attempts.to_string(),
        ]
    };
    columns(&std::iter::once(header).chain(deliveries.iter().map(row)).collect::<Vec<_>>())
}

/// Texts that are JSON become part of it.
fn shown_json(delivery: &Delivery, event: &str, attempts: &[Attempt]) -> String {
    use serde_json::Value;
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let attempt = |attempt: &Attempt| {
        let mut value = serde_json::to_value(attempt).unwrap_or_default();
        value["request"] = attempt.request.as_deref().map_or(Value::Null, parsed);
        value
    };
    let mut value = serde_json::to_value(delivery).unwrap_or_default();
    value["content"] = parsed(event);
    value["log"] = attempts.iter().map(attempt).collect();
    json(&value)
}

fn shown(delivery: &Delivery, event: &str, attempts: &[Attempt], zone: &TimeZone) -> String {
    let Delivery { id, subscription, event: kind, calluniqueid, seq, .. } = delivery;
    let mut lines = vec![
        format!("Delivery {id}: {} to {}, {}", kind, clean(subscription), delivery.state.as_str()),
        match calluniqueid.as_str() {
            "" => format!("Accepted {}", date(delivery.accepted, zone)),
            call => format!("Call {}, event {seq}, accepted {}", clean(call), date(delivery.accepted, zone)),
        },
    ];
    lines.extend(delivery.due.map(|due| format!("Next attempt {}", date(due, zone))));
    lines.extend(delivery.expires.map(|at| format!("Too late from {}", date(at, zone))));
    lines.push(clean(event));
    for attempt in attempts {
        let status = attempt.http_status.map_or_else(String::new, |s| format!(" {s}"));
        let took = attempt.took_us.map_or_else(String::new, |us| format!(", {:.3} s", us as f64 / 1e6));
        let result = attempt.result.as_deref().unwrap_or("being made");
        lines.push(String::new());
        lines.push(format!(
            "Attempt {}, {}: {result}{status}{took}",
            attempt.number,
            date(attempt.started, zone)
        ));
        lines.extend(attempt.detail.as_deref().filter(|d| !d.is_empty()).map(|d| format!("  {}", clean(d))));
        let request =
            attempt.request.as_deref().and_then(|text| serde_json::from_str::<ShownRequest>(text).ok());
        if let Some(request) = request {
            lines.push(format!("  > {} {}", request.method, clean(&request.url)));
            lines.extend(request.headers.iter().map(|(name, value)| format!("  > {name}: {}", clean(value))));
            lines.extend(request.body.lines().map(|line| format!("  > {}", clean(line))));
        }
        let answer = attempt.answer.as_deref().unwrap_or_default();
        lines.extend(answer.lines().map(|line| format!("  < {}", clean(line))));
    }
    lines.join("\n") + "\n"
}
