//! All links of a configuration: started, changed and stopped together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::follower::{Means, Peer, follow};
use super::tracked::Tracked;
use super::{EventSink, Health, Wanted};
use crate::asterisk::ami;
use crate::config::{AmiLink, EslLink};
use crate::freeswitch::inbound;
use crate::terms::Pbx;
use crate::track::VariableNames;

/// For a follower to leave: goodbye, and the last events kept.
const STOP: Duration = Duration::from_secs(5);

/// A PBX whose calls are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Section `[asterisk.NAME]`.
    Asterisk(AmiLink),
    /// Section `[freeswitch.NAME]`.
    FreeSwitch(EslLink),
}

impl Link {
    /// What it leads to.
    pub fn pbx(&self) -> Pbx {
        match self {
            Link::Asterisk(_) => Pbx::Asterisk,
            Link::FreeSwitch(_) => Pbx::FreeSwitch,
        }
    }

    /// Its name: `{pbx}`. No two links have the same one.
    pub fn name(&self) -> &str {
        match self {
            Link::Asterisk(link) => link.name.as_str(),
            Link::FreeSwitch(link) => link.name.as_str(),
        }
    }
}

/// The followers.
pub struct Links {
    sink: Arc<dyn EventSink>,
    wanted: Arc<Wanted>,
    running: Vec<Running>,
}

/// How a link does, and which one it is.
#[derive(Clone, Debug)]
pub struct LinkHealth {
    /// What it leads to.
    pub pbx: Pbx,
    /// Its name in the configuration.
    pub name: String,
    /// How it does.
    pub health: Arc<Health>,
}

struct Running {
    link: Link,
    health: Arc<Health>,
    stop: CancellationToken,
    again: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Links {
    /// None yet. `sink` gets the events of all of them.
    pub fn new(sink: Arc<dyn EventSink>) -> Links {
        Links { sink, wanted: Arc::default(), running: Vec::new() }
    }

    /// These and no others, on the current runtime. What is the same goes on, and tries again if its account was refused;
    /// what changed is stopped and started anew.
    pub fn set(&mut self, links: Vec<Link>) {
        let (kept, mut gone): (Vec<_>, Vec<_>) =
            self.running.drain(..).partition(|running| links.contains(&running.link));
        self.running = kept;
        gone.iter().for_each(|running| running.stop.cancel());
        for running in &self.running {
            running.again.notify_waiters();
        }
        for link in links {
            if self.running.iter().any(|running| running.link.name() == link.name()) {
                continue;
            }
            let before = gone.iter().position(|running| running.link.name() == link.name());
            let before = before.map(|at| gone.swap_remove(at).task);
            let (sink, wanted) = (self.sink.clone(), self.wanted.clone());
            self.running.push(start(link, before, sink, wanted));
        }
        let left = gone.into_iter().map(|running| running.task).collect();
        let followed = self.running.iter().map(|running| running.link.name().to_owned()).collect();
        tokio::spawn(end_calls_of_others(left, followed, self.sink.clone()));
    }

    /// How the links do.
    pub fn healths(&self) -> Vec<LinkHealth> {
        let health = |running: &Running| LinkHealth {
            pbx: running.link.pbx(),
            name: running.link.name().to_owned(),
            health: running.health.clone(),
        };
        self.running.iter().map(health).collect()
    }

    /// These channel variables are told from now on, without a new connection.
    pub fn want(&self, names: VariableNames) {
        self.wanted.store(Arc::new(names));
    }

    /// How a link does.
    pub fn health(&self, name: &str) -> Option<&Health> {
        self.running.iter().find(|running| running.link.name() == name).map(|running| &*running.health)
    }

    /// Stops all of them. What they have told is kept then, or they were cut after 5 s.
    pub async fn stop(self) {
        self.running.iter().for_each(|running| running.stop.cancel());
        let end = tokio::time::Instant::now() + STOP;
        for mut running in self.running {
            if tokio::time::timeout_at(end, &mut running.task).await.is_err() {
                tracing::error!(
                    pbx = running.link.name(),
                    "the last events of this link were not kept in time"
                );
                running.task.abort();
            }
        }
    }
}

/// Ends the calls of PBXs that no link leads to any more: those that were just left, once their followers have kept what
/// they had seen, and those that a configuration of before this start named.
async fn end_calls_of_others(
    left: Vec<JoinHandle<()>>,
    followed: BTreeSet<String>,
    sink: Arc<dyn EventSink>,
) {
    for follower in left {
        // One that panicked has nothing more to keep.
        follower.await.ok();
    }
    let open = sink.open_calls().await;
    let others: BTreeSet<String> =
        open.into_iter().map(|(pbx, _)| pbx).filter(|pbx| !followed.contains(pbx)).collect();
    for pbx in others {
        tracing::warn!(pbx, "this PBX is not followed any more: its open calls are told to be lost");
        Tracked::restore(&pbx, &[], sink.clone(), Arc::default()).await.give_up().await;
    }
}

/// Starts a follower. It begins where the one before it, `before`, has ended: with the open calls that it left.
fn start(
    link: Link,
    before: Option<JoinHandle<()>>,
    sink: Arc<dyn EventSink>,
    wanted: Arc<Wanted>,
) -> Running {
    let (health, stop, again) =
        (Arc::new(Health::default()), CancellationToken::new(), Arc::new(Notify::new()));
    let means = Means { sink, health: health.clone(), wanted, stop: stop.clone(), again: again.clone() };
    let following = link.clone();
    let task = tokio::spawn(async move {
        if let Some(before) = before
            && before.await.is_err()
        {
            tracing::error!("a follower had panicked");
        }
        match following {
            Link::Asterisk(AmiLink { name, address, username, secret, trunks }) => {
                let peer = Peer { name: name.to_string(), address, trunks };
                let account = ami::Account { username, secret };
                follow(peer, |now| ami::Session::new(now, account.clone()), means).await;
            }
            Link::FreeSwitch(EslLink { name, address, user, password, trunks }) => {
                let peer = Peer { name: name.to_string(), address, trunks };
                let account = inbound::Account { user, password };
                follow(peer, |now| inbound::Session::new(now, account.clone()), means).await;
            }
        }
    });
    Running { link, health, stop, again, task }
}
