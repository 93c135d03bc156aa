//! The socket's side of a session: commands in order, what runs and what waits, time, hangup, leaving.

mod said;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, Ran};
use super::command::{self, Command};
use super::{Dialplan, packet};
use crate::stage::caller::hangs_up;
use crate::stage::{After, Event, Moment, Played, Script};

/// Commands that a socket that is not `full` does not know (measured).
const FULL: [&str; 8] = ["linger", "nolinger", "event", "api", "bgapi", "log", "sendevent", "noevents"];

/// An id for what we never asked for.
pub(super) const NOT_OURS: &str = "5c15a5ac-2fb8-4297-82de-149f40936828";

struct Connection {
    stream: TcpStream,
    server: SocketAddr,
    buffer: Vec<u8>,
    channel: Channel,
    is_async: bool,
    is_full: bool,
    transcript: Vec<Moment>,
    began: Instant,
    speed: u32,
    hang_up_at: Option<Instant>,
    hang_up_when: CancellationToken,
    /// What waits behind what runs.
    queue: VecDeque<Message>,
    /// What runs, each inside the one before it.
    running: Vec<Running>,
    /// The first command has come. Its reply is lost if it is not `connect` (measured).
    begun: bool,
    /// An application has ended: the channel has got so far that it can be left.
    settled: bool,
    subscribed: bool,
    filters: Vec<String>,
    linger: Option<u64>,
    resumes: bool,
    /// When the lingering is over.
    gone_at: Option<Instant>,
}

/// An application to be run.
struct Message {
    application: String,
    argument: String,
    id: String,
}

struct Running {
    message: Message,
    begin: Instant,
    end: Instant,
    ran: Ran,
}

/// The connection is gone, or the server has said all.
struct Over;

pub(super) async fn play(server: SocketAddr, script: Script, dialplan: Dialplan) -> Played {
    let began = Instant::now();
    let speed = script.speed.max(1);
    let hang_up_at = script.hang_up_after.map(|after| began + after / speed);
    let hang_up_when = script.hang_up_when.clone();
    let Dialplan { is_async, is_full, .. } = dialplan;
    let channel = Channel::new(script, dialplan);
    let Ok(stream) = TcpStream::connect(server).await else {
        return played(channel, Vec::new(), After::Failure);
    };
    let mut connection = Connection {
        stream,
        server,
        buffer: Vec::new(),
        channel,
        is_async,
        is_full,
        transcript: Vec::new(),
        began,
        speed,
        hang_up_at,
        hang_up_when,
        queue: VecDeque::new(),
        running: Vec::new(),
        begun: false,
        settled: false,
        subscribed: false,
        filters: Vec::new(),
        linger: None,
        resumes: false,
        gone_at: None,
    };
    if connection.stream.set_nodelay(true).is_ok() {
        let Over = connection.session().await;
    }
    let after = connection.after();
    played(connection.channel, connection.transcript, after)
}

fn played(channel: Channel, transcript: Vec<Moment>, after: After) -> Played {
    Played {
        variables: channel.variables(),
        caller: channel.shown(),
        after,
        answered: channel.up,
        hung_up: channel.dead,
        transcript,
    }
}

enum Next {
    HungUp,
    Ended,
    Gone,
    Read(usize),
}

impl Connection {
    async fn session(&mut self) -> Over {
        loop {
            let ends = self.running.last().map(|running| running.end);
            let next = tokio::select! {
                biased;
                () = hangs_up(self.hang_up_at, &self.hang_up_when), if !self.channel.dead => Next::HungUp,
                () = until(ends) => Next::Ended,
                () = until(self.gone_at) => Next::Gone,
                read = self.stream.read_buf(&mut self.buffer) => Next::Read(read.unwrap_or(0)),
            };
            let done = match next {
                Next::HungUp => self.hang_up().await,
                Next::Ended => self.end().await,
                Next::Gone => self.goodbye().await,
                Next::Read(0) => {
                    self.note(Event::HalfClosed);
                    self.leave();
                    self.goodbye().await
                }
                Next::Read(_) => self.take().await,
            };
            if done.is_err() {
                return Over;
            }
        }
    }

    /// Carries out what has come whole.
    async fn take(&mut self) -> Result<(), Over> {
        loop {
            match command::next(&mut self.buffer) {
                Ok(Some(command)) => {
                    self.note(Event::Received(command.text.clone()));
                    self.carry_out(command).await?;
                }
                Ok(None) => return Ok(()),
                Err(()) => {
                    self.leave();
                    return Err(Over);
                }
            }
        }
    }

    async fn carry_out(&mut self, command: Command) -> Result<(), Over> {
        let (verb, rest) = command.line.split_once(' ').unwrap_or((&command.line, ""));
        let (verb, rest) = (verb.to_owned(), rest.to_owned());
        let is_first = !std::mem::replace(&mut self.begun, true);
        if command.is_misread {
            self.note(Event::Misread(command.text.clone()));
            return self.reply("+OK").await;
        }
        if !self.is_full && (FULL.contains(&verb.as_str()) || verb == "nixevent") {
            return self.reply("-ERR command not found").await;
        }
        match verb.as_str() {
            "connect" => {
                let data = self.channel.data(&self.server.to_string());
                self.write(&packet::channel_data(&data)).await
            }
            "exit" => {
                if !is_first {
                    self.reply("+OK bye").await?;
                }
                self.leave();
                self.goodbye().await
            }
            _ if is_first => Ok(()),
            "sendmsg" => self.message(&command).await,
            "myevents" => {
                self.subscribed = true;
                self.reply("+OK Events Enabled").await
            }
            "noevents" => {
                self.subscribed = false;
                self.reply("+OK no longer listening for events").await
            }
            "filter" => {
                let (header, value) = rest.split_once(' ').unwrap_or((&rest, ""));
                if header == "Event-Name" {
                    self.filters.push(value.to_owned());
                }
                self.reply(&format!("+OK filter added. [{header}]=[{value}]")).await
            }
            // Raw: whoever chose the value writes packets here.
            "getvar" => {
                let value = self.channel.variables.get(&rest).cloned();
                self.reply(&value.unwrap_or_else(|| "-ERR command not found".to_owned())).await
            }
            "linger" => {
                let seconds = rest.parse().unwrap_or(u64::from(u32::MAX));
                self.linger = Some(seconds);
                self.reply(&format!("+OK will linger {seconds} seconds")).await
            }
            "nolinger" => {
                self.linger = None;
                self.reply("+OK will not linger").await
            }
            "resume" => {
                self.resumes = true;
                self.reply("+OK").await
            }
            _ => {
                self.note(Event::Misread(command.text.clone()));
                self.reply("-ERR command not found").await
            }
        }
    }

    /// `sendmsg`. `+OK` means that it is queued, or, not `async`, that it is done.
    async fn message(&mut self, command: &Command) -> Result<(), Over> {
        let header = |name: &str| command.header(name).unwrap_or_default().to_owned();
        if let Some(uuid) = command.line.split_once(' ').map(|(_, uuid)| uuid.trim())
            && uuid != self.channel.uuid()
        {
            return self.reply(&format!("-ERR invalid session id [{uuid}]")).await;
        }
        let argument = command.argument().to_owned();
        let message = Message { application: header("execute-app-name"), argument, id: header("Event-UUID") };
        let runs = header("call-command") == "execute" && !self.channel.dead;
        if !runs {
            return self.reply("+OK").await;
        }
        if message.argument.contains("${") || message.argument.contains('\\') {
            self.note(Event::Expanded(message.argument.clone()));
        }
        if !self.is_async {
            return self.run_to_its_end(message).await;
        }
        // Events come when they like, those of others too.
        self.event("CHANNEL_EXECUTE_COMPLETE", Some(("log", "INFO somebody else's", NOT_OURS))).await?;
        self.reply("+OK").await?;
        if header("event-lock") == "true" || self.running.is_empty() {
            self.queue.push_back(message);
            if self.running.is_empty() { self.begin_next().await } else { Ok(()) }
        } else {
            self.begin(message).await
        }
    }

    async fn begin_next(&mut self) -> Result<(), Over> {
        match self.queue.pop_front() {
            Some(message) => self.begin(message).await,
            None => Ok(()),
        }
    }

    /// Begins an application, inside the one that runs.
    async fn begin(&mut self, message: Message) -> Result<(), Over> {
        let Some(ran) = self.run(&message) else { return self.hang_up().await };
        let begin = Instant::now();
        let took = ran.took / self.speed;
        for outer in &mut self.running {
            outer.end += took;
        }
        let said = (message.application.clone(), message.argument.clone(), message.id.clone());
        self.running.push(Running { message, begin, end: begin + took, ran });
        self.event("CHANNEL_EXECUTE", Some((&said.0, &said.1, &said.2))).await
    }

    fn run(&mut self, message: &Message) -> Option<Ran> {
        let ran = self.channel.run(&message.application, &message.argument);
        if ran.is_none() {
            self.note(Event::UnknownApplication(message.application.clone()));
        }
        ran
    }

    /// What runs has come to its end.
    async fn end(&mut self) -> Result<(), Over> {
        let Some(running) = self.running.pop() else { return Ok(()) };
        self.complete(running, None).await?;
        if self.running.is_empty() && !self.channel.dead { self.begin_next().await } else { Ok(()) }
    }

    /// Tells of an end. `cut`: when the caller hung up, if he did.
    async fn complete(&mut self, running: Running, cut: Option<Instant>) -> Result<(), Over> {
        let Running { message, begin, ran, .. } = running;
        let results = match cut {
            None => ran.results,
            Some(_) if ran.digits.is_some() => vec![("read_result".to_owned(), "failure".to_owned())],
            Some(_) => Vec::new(),
        };
        let mut typed = String::new();
        let mut events = ran.events;
        events.sort_by_key(|(at, _)| *at);
        for (at, event) in events {
            let at = begin + at / self.speed;
            if cut.is_some_and(|cut| at > cut) {
                break;
            }
            if let Event::Key(key) = event {
                typed.push(key);
                if !self.channel.is_true("sensitive_dtmf") {
                    self.dtmf(key).await?;
                }
            }
            self.transcript.push(Moment { at: at.saturating_duration_since(self.began), event });
        }
        self.channel.variables.extend(results);
        if let (Some(variable), Some(_)) = (ran.digits, cut)
            && !typed.is_empty()
        {
            self.channel.variables.insert(variable, typed);
        }
        if ran.hangs_up && cut.is_none() {
            return self.hang_up_at_the_end_of(message, ran.response).await;
        }
        self.settled = true;
        self.completed(&message, ran.response).await
    }

    async fn hang_up_at_the_end_of(&mut self, message: Message, response: &'static str) -> Result<(), Over> {
        self.die();
        self.event("CHANNEL_HANGUP", None).await?;
        self.completed(&message, response).await?;
        self.after_hangup().await
    }

    /// Not `async`: nothing is read meanwhile, and the reply comes behind the end, the events behind the reply.
    async fn run_to_its_end(&mut self, message: Message) -> Result<(), Over> {
        let Some(ran) = self.run(&message) else {
            self.reply("+OK").await?;
            return self.hang_up().await;
        };
        let begin = Instant::now();
        let end = begin + ran.took / self.speed;
        let hung_up = tokio::select! {
            biased;
            () = hangs_up(self.hang_up_at, &self.hang_up_when) => true,
            () = sleep_until(end) => false,
        };
        self.reply("+OK").await?;
        let said = (message.application.clone(), message.argument.clone(), message.id.clone());
        self.event("CHANNEL_EXECUTE", Some((&said.0, &said.1, &said.2))).await?;
        let running = Running { message, begin, end, ran };
        if !hung_up {
            return self.complete(running, None).await;
        }
        self.die();
        self.event("CHANNEL_HANGUP", None).await?;
        self.complete(running, Some(Instant::now())).await?;
        self.after_hangup().await
    }

    fn die(&mut self) {
        self.channel.dead = true;
        self.hang_up_at = None;
        self.queue.clear();
        self.note(Event::HungUp);
    }

    /// The caller hangs up, whatever is going on.
    async fn hang_up(&mut self) -> Result<(), Over> {
        let now = Instant::now();
        self.die();
        if self.is_async {
            self.event("CHANNEL_HANGUP", None).await?;
        }
        while let Some(running) = self.running.pop() {
            self.complete(running, Some(now)).await?;
        }
        self.after_hangup().await
    }

    async fn after_hangup(&mut self) -> Result<(), Over> {
        if self.is_async {
            self.event("CHANNEL_UNPARK", None).await?;
            self.event("CHANNEL_EXECUTE_COMPLETE", Some(("socket", "", NOT_OURS))).await?;
            self.event("CHANNEL_STATE", None).await?;
            self.event("CHANNEL_STATE", None).await?;
            self.event("CHANNEL_HANGUP_COMPLETE", None).await?;
        }
        let Some(seconds) = self.linger else { return self.goodbye().await };
        self.gone_at = Some(Instant::now() + Duration::from_secs(seconds) / self.speed);
        let notice = packet::lingers(self.channel.uuid(), self.channel.name(), seconds);
        self.write(&notice).await
    }

    /// The server leaves. What runs ends, and what waits behind it is done (measured).
    fn leave(&mut self) {
        while let Some(running) = self.running.pop() {
            for (at, event) in running.ran.events {
                let at = running.begin + at / self.speed;
                if at <= Instant::now() {
                    self.transcript.push(Moment { at: at.saturating_duration_since(self.began), event });
                }
            }
        }
        while let Some(message) = self.queue.pop_front() {
            match self.run(&message) {
                Some(ran) => {
                    let events = ran.events.into_iter().map(|(_, event)| event);
                    events.for_each(|event| self.note(event));
                }
                None => return self.die(),
            }
        }
    }

    /// Measured: not `async` goes on without `socket_resume` and sticks with it; `async` goes on with it. Without it
    /// nearly every channel that is left at once is left parked: here every one.
    fn after(&self) -> After {
        let resumes = self.resumes || self.channel.is_true("socket_resume");
        match (self.is_async, resumes) {
            _ if self.channel.dead => After::HungUp,
            (true, true) | (false, false) => After::GoesOn,
            (true, false) if self.settled => After::GoesOn,
            (true, false) => After::Parked,
            (false, true) => After::Stuck,
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
