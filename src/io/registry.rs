//! What a call begins with: definitions and settings, swapped whole when the configuration is read again. A call keeps
//! what it began with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ipnet::IpNet;

use crate::guard::Lockout;
use crate::terms::{Journal, Numbers, Pbx, Webhook, WebhookName};
use crate::webhook::{Plan, Policy};

/// One immutable map of everything.
#[derive(Debug)]
pub struct Registry {
    /// The webhooks by name.
    pub hooks: HashMap<WebhookName, Arc<Hook>>,
    /// How numbers are written here.
    pub numbers: Arc<Numbers>,
    /// Which addresses may be asked.
    pub policy: Arc<Policy>,
    /// Who may connect to which listener.
    pub admissions: HashMap<Pbx, Admission>,
}

/// What a listener lets in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Who may connect.
    pub allow: Vec<IpNet>,
    /// How many calls may be open.
    pub max_calls: usize,
}

/// A webhook with what it needs at run time.
#[derive(Debug)]
pub struct Hook {
    /// Its definition, ready to be asked.
    pub plan: Arc<Plan>,
    /// Wrong codes by caller, where there is a lockout. Shared with the definition that a reload puts in its place.
    pub lockout: Option<Arc<Mutex<Lockout>>>,
    /// Answers that are kept, where there is a cache.
    pub answers: Option<super::flight::Answers>,
}

impl Hook {
    /// The definition.
    pub fn webhook(&self) -> &Arc<Webhook> {
        self.plan.webhook()
    }

    /// How many wrong codes have locked the caller out.
    pub(super) fn locked(&self, now: Instant, caller: &str) -> Option<u32> {
        self.with_lockout(|lockout| lockout.locked(now, caller)).flatten()
    }

    /// Does something with the lockout, if there is one. The lock is held for one look at a map: only calls that enter
    /// codes ever take it, and nothing waits while it is held.
    pub fn with_lockout<T>(&self, act: impl FnOnce(&mut Lockout) -> T) -> Option<T> {
        let lockout = self.lockout.as_ref()?;
        Some(act(&mut lockout.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Where calls leave what is to be kept. None of it may wait: a call goes on whatever happens there.
pub trait Keeper: Send + Sync {
    /// A call is over.
    fn journal(&self, journal: Journal);

    /// A caller entered a wrong code, at this time (ms since 1970).
    fn wrong_code(&self, webhook: &WebhookName, caller: &str, wall: i64);

    /// A caller entered a right code: what he entered wrongly before is forgotten.
    fn right_code(&self, webhook: &WebhookName, caller: &str);
}
