//! What is sent to Asterisk.

/// Bytes of a line, at most: Asterisk throws a line over 1024 bytes away (read in its source).
const MAX_LINE: usize = 1000;

/// Why something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// It would be more than one line.
    #[error("{name} holds a line end")]
    LineEnd {
        /// The line's name.
        name: &'static str,
    },
    /// Asterisk would throw it away.
    #[error("{name} is longer than {MAX_LINE} bytes")]
    TooLong {
        /// The line's name.
        name: &'static str,
    },
}

/// One action, written line by line.
#[derive(Clone, PartialEq, Eq)]
pub struct Action {
    bytes: Vec<u8>,
}

impl Action {
    /// An action of our own name with an id that its response will carry.
    pub fn new(name: &'static str, id: u64) -> Action {
        Action { bytes: format!("Action: {name}\r\nActionID: {id}\r\n").into_bytes() }
    }

    /// Adds a line. A value is never more than this one line.
    pub fn with(mut self, name: &'static str, value: &str) -> Result<Action, ActionError> {
        if value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(ActionError::LineEnd { name });
        }
        if name.len() + value.len() + 4 > MAX_LINE {
            return Err(ActionError::TooLong { name });
        }
        for part in [name, ": ", value, "\r\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        Ok(self)
    }

    /// The bytes, whole.
    pub fn encode(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line() {
        let action = |value: &str| Action::new("Login", 1).with("Username", value).map(Action::encode);
        assert_eq!(action("me"), Ok(b"Action: Login\r\nActionID: 1\r\nUsername: me\r\n\r\n".to_vec()));
        for bad in ["me\r\nAction: Originate", "me\n", "\r", "a\0b"] {
            assert_eq!(action(bad), Err(ActionError::LineEnd { name: "Username" }), "{bad:?}");
        }
        assert!(action(&"x".repeat(988)).is_ok());
        assert_eq!(action(&"x".repeat(989)), Err(ActionError::TooLong { name: "Username" }));
    }
}
