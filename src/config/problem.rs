//! What is wrong with the file, drawn: file, line and column, the text underlined, what would be right.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A mistake, or something that is allowed and probably not meant.
#[derive(Clone, Debug)]
pub struct Problem {
    found: Found,
    source: Arc<Source>,
}

/// All mistakes of one file, in the file's order. There is at least one.
#[derive(Clone, Debug)]
pub struct Problems(Vec<Problem>);

/// A problem as the reader finds it: a place in the text that was read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) warning: bool,
    /// Bytes of the file; `None` where it is about the file as a whole.
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
    /// What would be right.
    pub(super) help: Option<String>,
}

/// The file with its secrets masked, character by character, so that columns stay what they are.
#[derive(Debug)]
pub(super) struct Source {
    path: String,
    text: String,
    /// For each byte of the file, and its end: the byte of `text`.
    at: Vec<usize>,
}

impl Source {
    /// Masks these ranges. They may overlap.
    pub(super) fn new(path: String, text: &str, secrets: &[Range<usize>]) -> Source {
        let mut masked = String::with_capacity(text.len());
        let mut at = vec![0; text.len() + 1];
        for (i, c) in text.char_indices() {
            at[i..i + c.len_utf8()].fill(masked.len());
            let secret = c != '\n' && c != '\r' && secrets.iter().any(|r| r.contains(&i));
            masked.push(if secret { '*' } else { c });
        }
        at[text.len()] = masked.len();
        Source { path, text: masked, at }
    }

    fn span(&self, span: &Range<usize>) -> Range<usize> {
        let end = self.at.len() - 1;
        let start = self.at[span.start.min(end)];
        start..self.at[span.end.min(end)].max(start)
    }
}

impl Problem {
    pub(super) fn new(mut found: Found, source: Arc<Source>) -> Problem {
        // A key's name is in it, and it goes to a terminal and a log.
        found.message = found.message.replace(char::is_control, "\u{fffd}");
        Problem { found, source }
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.found.message
    }

    /// Line and column from 1, columns in characters. `None` where it is about the file as a whole.
    pub fn position(&self) -> Option<(usize, usize)> {
        let start = self.source.span(self.found.span.as_ref()?).start;
        let before = &self.source.text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// Drawn over several lines, without a line feed at the end.
    pub fn draw(&self, colour: bool) -> String {
        let level = if self.found.warning { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(self.found.message.as_str());
        let mut group = match &self.found.span {
            None => Group::with_title(title),
            Some(span) => title.element(
                Snippet::source(self.source.text.as_str())
                    .path(self.source.path.as_str())
                    .annotation(AnnotationKind::Primary.span(self.source.span(span))),
            ),
        };
        if let Some(help) = &self.found.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// One line, for a log: `config.toml:3:11: timeout must be 1s to 10s`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.path)?;
        if let Some((line, column)) = self.position() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.found.message)
    }
}

impl Problems {
    pub(super) fn new(problems: Vec<Problem>) -> Problems {
        Problems(problems)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// All of them drawn, and their number, without a line feed at the end.
    pub fn draw(&self, colour: bool) -> String {
        let mut out = String::new();
        for problem in &self.0 {
            out.push_str(&problem.draw(colour));
            out.push_str("\n\n");
        }
        let path = self.0.first().map_or("", |p| &p.source.path);
        match self.0.len() {
            1 => out.push_str(&format!("{path}: 1 problem")),
            n => out.push_str(&format!("{path}: {n} problems")),
        }
        out
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw(false))
    }
}

impl std::error::Error for Problems {}
