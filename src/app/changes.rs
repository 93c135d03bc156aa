//! What a newer configuration file changed, as it is told: `user` events of the file.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::terms::{UserAction, UserEvent};

/// Who changed it: nobody knows who wrote the file.
const ACTOR: &str = "file";

/// What was changed, `now` in ms since 1970.
pub(super) fn changes(before: &Config, after: &Config, now: i64) -> Vec<UserEvent> {
    let mut changes = Changes { now, told: Vec::new() };
    let webhooks =
        |config: &Config| by_name(config.webhooks.iter().map(|(n, p)| (n, (**p.webhook()).clone())));
    changes.compare("webhook", &webhooks(before), &webhooks(after), |webhook| &mut webhook.enabled);
    let subscriptions = |config: &Config| {
        by_name(config.subscriptions.iter().map(|(n, p)| (n, (**p.subscription()).clone())))
    };
    changes.compare("subscription", &subscriptions(before), &subscriptions(after), |told| &mut told.enabled);
    // A link has no switch.
    let asterisk =
        |config: &Config| by_name(config.asterisk.iter().map(|link| (&link.name, (link.clone(), true))));
    changes.compare("link", &asterisk(before), &asterisk(after), |link| &mut link.1);
    let freeswitch =
        |config: &Config| by_name(config.freeswitch.iter().map(|link| (&link.name, (link.clone(), true))));
    changes.compare("link", &freeswitch(before), &freeswitch(after), |link| &mut link.1);
    changes.told
}

fn by_name<T>(named: impl Iterator<Item = (impl ToString, T)>) -> BTreeMap<String, T> {
    named.map(|(name, one)| (name.to_string(), one)).collect()
}

struct Changes {
    now: i64,
    told: Vec<UserEvent>,
}

impl Changes {
    /// Compares definitions of a kind. `switch` is what switches one on and off: that is told by words of its own.
    fn compare<T: Clone + PartialEq>(
        &mut self,
        object: &str,
        before: &BTreeMap<String, T>,
        after: &BTreeMap<String, T>,
        switch: impl Fn(&mut T) -> &mut bool,
    ) {
        for (name, new) in after {
            let Some(old) = before.get(name) else {
                self.tell(UserAction::Created, object, name);
                continue;
            };
            let (mut old, mut new) = (old.clone(), new.clone());
            let was = std::mem::replace(switch(&mut old), true);
            let is = std::mem::replace(switch(&mut new), true);
            if old != new {
                self.tell(UserAction::Changed, object, name);
            }
            match (was, is) {
                (false, true) => self.tell(UserAction::Enabled, object, name),
                (true, false) => self.tell(UserAction::Paused, object, name),
                _ => {}
            }
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            self.tell(UserAction::Deleted, object, name);
        }
    }

    fn tell(&mut self, action: UserAction, object: &str, name: &str) {
        let (actor, object, object_name) = (ACTOR.to_owned(), object.to_owned(), name.to_owned());
        self.told.push(UserEvent { timestamp: self.now, actor, action, object, object_name });
    }
}
