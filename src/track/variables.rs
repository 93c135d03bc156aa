//! Which channel variables somebody wants to be told.

use std::sync::Arc;

/// Names of channel variables. A PBX that sends all of a channel's variables with every event, hundreds of them, is read
/// for these alone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VariableNames(Arc<[Box<str>]>);

impl VariableNames {
    /// These. Upper and lower case are one name: Asterisk's users write the one, FreeSWITCH's the other.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> VariableNames {
        let mut names: Vec<Box<str>> =
            names.into_iter().map(|name| name.to_ascii_lowercase().into_boxed_str()).collect();
        names.sort_unstable();
        names.dedup();
        VariableNames(names.into())
    }

    /// The names, in lower case.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}
