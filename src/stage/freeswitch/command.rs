//! How FreeSWITCH reads commands off its socket.

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// All of it, for the transcript.
    pub(super) text: String,
    /// Its first line.
    pub(super) line: String,
    headers: Vec<(String, String)>,
    body: String,
    /// It holds a carriage return: FreeSWITCH says `+OK` and does nothing (measured). Or words that make another
    /// command of it.
    pub(super) is_misread: bool,
}

impl Command {
    /// A header; of several the first one (measured).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What the application is given. The header wins over the body (measured).
    pub(super) fn argument(&self) -> &str {
        self.header("execute-app-arg").unwrap_or(&self.body)
    }
}

/// The oldest whole command, taken out of the buffer. `Err`: its `content-length` closes the connection.
pub(super) fn next(buffer: &mut Vec<u8>) -> Result<Option<Command>, ()> {
    let blank = buffer.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
    buffer.drain(..blank);
    let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") else { return Ok(None) };
    let block = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = block.split('\n');
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim_start_matches(' ').to_owned()))
        .collect();
    let is_misread = block.contains('\r') || (block.contains("load") && block.contains("mod_event_socket"));
    let mut command = Command { text: block, line, headers, body: String::new(), is_misread };
    let length = match command.header("content-length").map(str::parse::<i64>) {
        None => 0,
        Some(Ok(length @ 0..=16_777_216)) => usize::try_from(length).map_err(drop)?,
        Some(_) => return Err(()),
    };
    let Some(body) = buffer.get(end + 2..end + 2 + length) else { return Ok(None) };
    command.body = String::from_utf8_lossy(body).into_owned();
    if length > 0 {
        command.text = format!("{}\n\n{}", command.text, command.body);
    }
    buffer.drain(..end + 2 + length);
    Ok(Some(command))
}
