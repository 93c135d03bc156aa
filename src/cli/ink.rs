//! Colour, where somebody sees it.

use std::fmt::Display;
use std::io::IsTerminal;

/// Three colours, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink(bool);

impl Ink {
    /// Black and white.
    #[cfg(test)]
    pub(super) const NONE: Ink = Ink(false);

    /// For what is written there: none where it is no terminal.
    pub(super) fn of(stream: &impl IsTerminal) -> Ink {
        Ink(super::colour(stream))
    }

    /// A heading.
    pub(super) fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// What one reads second.
    pub(super) fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// Green for what went well, red for what did not.
    pub(super) fn verdict(self, good: bool, text: impl Display) -> String {
        self.paint(if good { "32;1" } else { "31;1" }, text)
    }

    fn paint(self, style: &str, text: impl Display) -> String {
        if self.0 { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}
