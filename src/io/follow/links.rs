//! All links of a configuration: started, changed and stopped together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{EventSink, Health, asterisk};
use crate::config::AmiLink;
use crate::terms::{Pbx, WebhookName};

/// For a follower to leave: goodbye, and the last events kept.
const STOP: Duration = Duration::from_secs(5);

/// The followers.
pub struct Links {
    sink: Arc<dyn EventSink>,
    running: Vec<Running>,
}

/// How a link does, and which one it is.
#[derive(Clone, Debug)]
pub struct LinkHealth {
    /// What it leads to.
    pub pbx: Pbx,
    /// Its name in the configuration.
    pub name: WebhookName,
    /// How it does.
    pub health: Arc<Health>,
}

struct Running {
    link: AmiLink,
    health: Arc<Health>,
    stop: CancellationToken,
    again: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Links {
    /// None yet. `sink` gets the events of all of them.
    pub fn new(sink: Arc<dyn EventSink>) -> Links {
        Links { sink, running: Vec::new() }
    }

    /// These and no others, on the current runtime. What is the same goes on, and tries again if its account was refused;
    /// what changed is stopped and started anew.
    pub fn set(&mut self, links: Vec<AmiLink>) {
        let (kept, mut gone): (Vec<_>, Vec<_>) =
            self.running.drain(..).partition(|running| links.contains(&running.link));
        self.running = kept;
        gone.iter().for_each(|running| running.stop.cancel());
        for running in &self.running {
            running.again.notify_waiters();
        }
        for link in links {
            if self.running.iter().any(|running| running.link.name == link.name) {
                continue;
            }
            let before = gone.iter().position(|running| running.link.name == link.name);
            let before = before.map(|at| gone.swap_remove(at).task);
            self.running.push(start(link, before, self.sink.clone()));
        }
    }

    /// How the links do.
    pub fn healths(&self) -> Vec<LinkHealth> {
        let health = |running: &Running| LinkHealth {
            pbx: Pbx::Asterisk,
            name: running.link.name.clone(),
            health: running.health.clone(),
        };
        self.running.iter().map(health).collect()
    }

    /// How a link does.
    pub fn health(&self, name: &str) -> Option<&Health> {
        self.running.iter().find(|running| running.link.name.as_str() == name).map(|running| &*running.health)
    }

    /// Stops all of them. What they have told is kept then, or they were cut after 5 s.
    pub async fn stop(self) {
        self.running.iter().for_each(|running| running.stop.cancel());
        let end = tokio::time::Instant::now() + STOP;
        for mut running in self.running {
            if tokio::time::timeout_at(end, &mut running.task).await.is_err() {
                tracing::error!(
                    pbx = %running.link.name,
                    "the last events of this link were not kept in time"
                );
                running.task.abort();
            }
        }
    }
}

/// Starts a follower. It begins where the one before it, `before`, has ended: with the open calls that it left.
fn start(link: AmiLink, before: Option<JoinHandle<()>>, sink: Arc<dyn EventSink>) -> Running {
    let (health, stop, again) =
        (Arc::new(Health::default()), CancellationToken::new(), Arc::new(Notify::new()));
    let follower = asterisk::follow(link.clone(), sink, health.clone(), stop.clone(), again.clone());
    let task = tokio::spawn(async move {
        if let Some(before) = before
            && before.await.is_err()
        {
            tracing::error!("a follower had panicked");
        }
        follower.await;
    });
    Running { link, health, stop, again, task }
}
