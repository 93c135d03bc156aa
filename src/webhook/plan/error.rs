//! What is wrong with a definition.

use std::ops::Range;

use crate::webhook::signature::KeyError;

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct PlanError {
    /// The key of the configuration, such as `url` or `headers.x-key`.
    pub key: String,
    /// Bytes of its value, as it was written, that this is about. `None`: all of it.
    pub at: Option<Range<usize>>,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub help: &'static str,
}

impl PlanError {
    pub(in crate::webhook) fn new(
        key: impl Into<String>,
        problem: impl Into<String>,
        help: &'static str,
    ) -> PlanError {
        PlanError { key: key.into(), at: None, problem: problem.into(), help }
    }

    pub(in crate::webhook) fn at(self, range: Range<usize>) -> PlanError {
        PlanError { at: Some(range), ..self }
    }
}

impl From<KeyError> for PlanError {
    fn from(error: KeyError) -> PlanError {
        let help = r#"make one: echo "whsec_$(openssl rand -base64 32)""#;
        PlanError::new("secret", error.to_string(), help)
    }
}
