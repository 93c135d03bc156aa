//! Every byte that we write, and FreeSWITCH's way of reading it.
//!
//! A line feed in a header's value would be a header more, two of them a command more. A header block that holds the
//! words `unload` and `mod_event_socket` anywhere is taken as the command to unload that module (measured). So what an
//! application is given goes as the message's body, which FreeSWITCH takes by its length and does not read.
//!
//! `${…}` in it is expanded before the application runs, `${system(…)}` runs a shell, and `set` expands once more, which
//! is why no backslash helps (measured). A text without `${` and without a backslash is expanded to itself. So those
//! are refused here, whatever was cleaned before.

use memchr::memmem;

use crate::terms::{PbxText, Secret, VarName};

/// Bytes of an application's argument, at most. FreeSWITCH takes 60 KiB (measured); a variable's text has 1000, and
/// a list of sounds is not longer than this.
const ARGUMENT_MAX: usize = 8192;

/// What a value that begins with it becomes: several values, of which a dialplan sees another text.
const ARRAY: &str = "ARRAY::";

/// The applications that we run. One that FreeSWITCH does not know would hang the call up (measured).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// Answers the channel.
    Answer,
    /// Plays a sound.
    Playback,
    /// Plays a sound and collects digits.
    PlayAndGetDigits,
    /// Hides or shows the caller.
    Privacy,
    /// Sets a channel variable.
    Set,
}

impl App {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            App::Answer => "answer",
            App::Playback => "playback",
            App::PlayAndGetDigits => "play_and_get_digits",
            App::Privacy => "privacy",
            App::Set => "set",
        }
    }
}

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A control character.
    #[error("not written: it holds a control character")]
    Control,
    /// `${` or a backslash.
    #[error("not written: FreeSWITCH would expand it")]
    Expanded,
    /// A value that begins with `ARRAY::`.
    #[error("not written: FreeSWITCH would take it as several values")]
    Array,
    /// More than 8192 bytes.
    #[error("not written: it is longer than {ARGUMENT_MAX} bytes")]
    TooLong,
    /// A user that is not `name@domain`.
    #[error("not written: the user is not name@domain, or holds a colon")]
    User,
    /// FreeSWITCH would not read what was meant.
    #[error("not written: FreeSWITCH would read something else")]
    Misread,
}

/// A command of our own words, without any value: `connect`, `exit`.
pub fn command(words: &'static str) -> Vec<u8> {
    format!("{words}\n\n").into_bytes()
}

/// Logs in: with the password of event_socket.conf.xml, or as a user of the directory, `name@domain`. FreeSWITCH takes all
/// that stands behind `auth ` as the password, and all behind the first colon for a user (read in its source).
pub fn login(user: Option<&str>, password: &Secret) -> Result<Vec<u8>, EncodeError> {
    let line = match user {
        None => format!("auth {}", password.reveal()),
        Some(user) => match user.split_once('@') {
            Some((name, domain)) if !name.is_empty() && !domain.is_empty() && !user.contains(':') => {
                format!("userauth {user}:{}", password.reveal())
            }
            _ => return Err(EncodeError::User),
        },
    };
    if line.chars().any(char::is_control) {
        return Err(EncodeError::Control);
    }
    if line.len() > ARGUMENT_MAX {
        return Err(EncodeError::TooLong);
    }
    let bytes = format!("{line}\n\n").into_bytes();
    match read_commands(&bytes) {
        Some(read) if read == [ReadCommand { line, headers: Vec::new(), body: Vec::new() }] => Ok(bytes),
        _ => Err(EncodeError::Misread),
    }
}

/// `sendmsg` for the channel of this connection: runs an application behind those before it (`event-lock`). The
/// event of its end has `id` as `Application-UUID`.
pub fn execute(app: App, argument: &str, id: &str) -> Result<Vec<u8>, EncodeError> {
    for text in [argument, id] {
        if text.chars().any(char::is_control) {
            return Err(EncodeError::Control);
        }
        if text.contains("${") || text.contains('\\') {
            return Err(EncodeError::Expanded);
        }
        if text.len() > ARGUMENT_MAX {
            return Err(EncodeError::TooLong);
        }
    }
    let length = argument.len().to_string();
    let mut headers = vec![
        ("call-command", "execute"),
        ("execute-app-name", app.name()),
        ("Event-UUID", id),
        ("event-lock", "true"),
    ];
    if !argument.is_empty() {
        headers.push(("content-type", "text/plain"));
        headers.push(("content-length", &length));
    }
    let mut bytes = b"sendmsg\n".to_vec();
    for (name, value) in &headers {
        bytes.extend_from_slice(format!("{name}: {value}\n").as_bytes());
    }
    bytes.push(b'\n');
    bytes.extend_from_slice(argument.as_bytes());
    let meant = ReadCommand {
        line: "sendmsg".to_owned(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        body: argument.as_bytes().to_vec(),
    };
    match read_commands(&bytes) {
        Some(read) if read == [meant] => Ok(bytes),
        _ => Err(EncodeError::Misread),
    }
}

/// Sets a channel variable; an empty value removes it, which a dialplan sees as empty. The name goes in small letters.
pub fn set(name: &VarName, value: &PbxText, id: &str) -> Result<Vec<u8>, EncodeError> {
    set_own(&name.as_str().to_ascii_lowercase(), value.as_str(), id)
}

/// Sets a variable with a name of our own.
pub(in crate::freeswitch) fn set_own(name: &str, value: &str, id: &str) -> Result<Vec<u8>, EncodeError> {
    if value.starts_with(ARRAY) {
        return Err(EncodeError::Array);
    }
    execute(App::Set, &format!("{name}={value}"), id)
}

/// A command as FreeSWITCH reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCommand {
    /// Its first line.
    pub line: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// What its `content-length` covers.
    pub body: Vec<u8>,
}

impl ReadCommand {
    /// A header's value; the first one wins.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// What the application gets: the header wins over the body.
    pub fn argument(&self) -> String {
        match self.header("execute-app-arg") {
            Some(argument) => argument.to_owned(),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        }
    }
}

/// The commands in `bytes` as FreeSWITCH reads them. `None`: a command is not complete, or FreeSWITCH would close the
/// connection.
///
/// Line feeds in front of a command are skipped. A block ends with two line feeds; carriage returns between them do not
/// count. A line ends at a carriage return too. Spaces behind a header's colon are skipped. A `content-length` outside
/// 0 to 16777216 closes the connection. A block with the words `unload` or `reload`, and `mod_event_socket`, becomes
/// another command.
pub fn read_commands(mut bytes: &[u8]) -> Option<Vec<ReadCommand>> {
    let mut commands = Vec::new();
    loop {
        while let Some((b'\r' | b'\n', rest)) = bytes.split_first() {
            bytes = rest;
        }
        if bytes.is_empty() {
            return Some(commands);
        }
        let end = block_end(bytes)?;
        let block = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end..];
        let mut lines = block.split(['\r', '\n']).filter(|l| !l.is_empty());
        let line = hijacked(&block).unwrap_or(lines.next()?).to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim_start_matches(' ').to_owned()))
            .collect();
        let mut command = ReadCommand { line, headers, body: Vec::new() };
        if let Some(length) = command.header("content-length") {
            let length = length.parse::<usize>().ok().filter(|n| *n <= 16_777_216)?;
            command.body = bytes.get(..length)?.to_vec();
            bytes = &bytes[length..];
        }
        commands.push(command);
    }
}

/// Where a block ends, its two line feeds included.
fn block_end(bytes: &[u8]) -> Option<usize> {
    let mut feeds = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => feeds += 1,
            b'\r' => {}
            _ => feeds = 0,
        }
        if feeds == 2 {
            return Some(at + 1);
        }
    }
    None
}

fn hijacked(block: &str) -> Option<&'static str> {
    let block = block.to_ascii_lowercase();
    let has = |word: &str| memmem::find(block.as_bytes(), word.as_bytes()).is_some();
    match has("mod_event_socket") {
        true if has("unload") => Some("api bgapi unload mod_event_socket"),
        true if has("reload") => Some("api bgapi reload mod_event_socket"),
        _ => None,
    }
}
