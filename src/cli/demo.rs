//! `switchhook demo`: the main job on any machine, with nothing but this program.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};

use super::explain::columns;
use super::ink::Ink;
use super::log::{self, LogFormat};
use super::play::{self, ANY_PORT, Daemon, PlayedPbx, Told};
use super::say;
use super::transcript::{Transcript, clean};
use crate::app::StartError;
use crate::config::{self, Config};
use crate::stage::server::{CODE, Server};
use crate::stage::{Entry, Script};
use crate::store::{Settings, Store};
use crate::terms::{CallResult, Webhook};

/// Prompts and typing take this much less time than they would. The web server takes its own.
const SPEED: u32 = 20;

/// A code that the web server does not know.
const WRONG_CODE: &str = "9876";

/// What the demonstration runs with.
const CONFIG: &str = include_str!("demo.toml");

/// The address in [`CONFIG`] in whose place the web server's is put.
const WEB_SERVER: &str = "127.0.0.1:8000";

/// Where a dialplan looks for the daemon when nobody tells it otherwise.
fn usual(pbx: PlayedPbx) -> SocketAddr {
    let port = match pbx {
        PlayedPbx::Asterisk => 4573,
        PlayedPbx::FreeSwitch => 8084,
    };
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// How long the store may take to write what is queued.
const STORE_TIME: Duration = Duration::from_secs(5);

/// Show what it does: a daemon, a played PBX and a small web server, five calls
///
/// Needs neither PBX nor web server nor configuration, and leaves nothing behind. Exits with 0 if every call came out as
/// it should, else with 1.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Go on until Ctrl-C, for your own PBX on this machine: its calls are printed as they come
    #[arg(long)]
    serve: bool,
    /// The PBX that is played, and that the last words are about
    #[arg(long, value_name = "PBX", default_value = "asterisk")]
    pbx: PlayedPbx,
}

/// A call of the demonstration, and how it must come out.
struct Scene {
    title: &'static str,
    webhook: &'static str,
    entries: Vec<Entry>,
    result: CallResult,
    reason: &'static str,
    attempts: u32,
    destination: &'static str,
    display: &'static str,
}

/// The caller's number. It holds no code of the demonstration, so that a code in the output is a code.
const CALLER: &str = "0687654321";

/// The number that is called.
const CALLED: &str = "0502102544";

fn scenes() -> [Scene; 5] {
    let right = || Entry::after(&format!("{CODE}#"));
    let wrong = || Entry::after(&format!("{WRONG_CODE}#"));
    let failed = |title, webhook, reason, attempts| Scene {
        title,
        webhook,
        entries: Vec::new(),
        result: CallResult::Failed,
        reason,
        attempts,
        destination: "",
        display: "Alice Example, 0687654321",
    };
    let good = |title, entries: Vec<Entry>| Scene {
        title,
        webhook: "vip",
        attempts: u32::try_from(entries.len()).unwrap_or(u32::MAX),
        entries,
        result: CallResult::Success,
        reason: "ok",
        destination: "215",
        display: "Jansen & Zn, 0687654321",
    };
    [
        good("The right code", vec![right()]),
        good("A wrong code, then the right one", vec![wrong(), right()]),
        failed("The caller presses nothing", "vip", "no_input", 3),
        failed("The web server is too slow", "slow", "timeout", 0),
        failed(
            "The web server answers a destination that writes a dialplan",
            "hijacked",
            "destination_refused",
            0,
        ),
    ]
}

impl Scene {
    fn script(&self, pbx: PlayedPbx, webhook: &Webhook, at: usize) -> Script {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Script {
            channel: pbx.channel("trunk", at),
            unique_id: format!("{}.{at}", now.as_secs()),
            number: Some(CALLER.to_owned()),
            dnid: Some(CALLED.to_owned()),
            extension: CALLED.to_owned(),
            context: "from-trunk".to_owned(),
            entries: self.entries.clone(),
            ..play::script(pbx, webhook, SPEED)
        }
    }

    /// Where it came out otherwise.
    fn faults(&self, told: &Told) -> Vec<String> {
        let attempts = told.journal.as_ref().map_or(0, |j| j.attempts);
        let compared = [
            ("result", self.result.to_string(), told.result().to_string()),
            ("reason", self.reason.to_owned(), told.reason().to_owned()),
            ("attempts", self.attempts.to_string(), attempts.to_string()),
            ("destination", self.destination.to_owned(), told.variable("WEBHOOK_DESTINATION").to_owned()),
            ("next phone", self.display.to_owned(), told.display()),
        ];
        let wrong = compared.into_iter().filter(|(_, wanted, got)| wanted != got);
        wrong.map(|(what, wanted, got)| format!("{}: {what} {got:?}, not {wanted:?}", self.title)).collect()
    }

    fn row(&self, told: &Told) -> [String; 5] {
        let text = str::to_owned;
        let destination = told.variable("WEBHOOK_DESTINATION");
        let goes = if destination.is_empty() { "failed branch" } else { destination };
        [text(self.title), told.result().to_string(), text(told.reason()), text(goes), clean(&told.display())]
    }
}

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{0}")]
    System(#[from] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Demo {
    pub(super) fn run(self) -> ExitCode {
        log::start(LogFormat::Human, "warn");
        let runtime = match super::runtime() {
            Ok(runtime) => runtime,
            Err(exit) => return exit,
        };
        match runtime.block_on(self.play()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("switchhook: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Whether every call came out as it should. The store's folder goes in any case.
    async fn play(self) -> Result<bool, DemoError> {
        let folder = tempfile::Builder::new().prefix("switchhook-demo-").tempdir()?;
        let house = House::build(self.pbx, folder.path()).await?;
        let good = tokio::select! {
            good = house.show() => good?,
            stopped = stopped() => return stopped.map(|()| false).map_err(DemoError::from),
        };
        if self.serve {
            tokio::select! {
                served = house.serve() => served?,
                stopped = stopped() => stopped?,
            }
        }
        house.store.close(STORE_TIME).await;
        Ok(good)
    }
}

/// Somebody wants it to end.
async fn stopped() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// All that a company has, but for the telephones.
struct House {
    /// Ends when this is dropped.
    _web_server: Server,
    pbx: PlayedPbx,
    config: Config,
    store: Store,
    store_path: PathBuf,
    ink: Ink,
}

impl House {
    async fn build(pbx: PlayedPbx, folder: &Path) -> Result<House, DemoError> {
        let web_server = Server::start(ANY_PORT).await?;
        let text = CONFIG.replace(WEB_SERVER, &web_server.address().to_string());
        let config = config::parse("demo.toml", folder, text.as_bytes(), &|_| None)
            .map_err(|problems| io::Error::other(problems.draw(false)))?;
        let store_path = folder.join("switchhook.db");
        let settings = Settings { path: store_path.clone(), retention: config.store.retention };
        let store = Store::open(settings, |_| {})?;
        Ok(House { _web_server: web_server, pbx, config, store, store_path, ink: Ink::of(&io::stdout()) })
    }

    fn webhook(&self, name: &str) -> io::Result<&Webhook> {
        let webhook = self.config.webhooks.get(name).map(|plan| plan.webhook().as_ref());
        webhook.ok_or_else(|| io::Error::other(format!("demo.toml has no webhook {name}")))
    }

    fn daemon(&self, listen: SocketAddr) -> Result<Daemon, StartError> {
        Daemon::start(self.pbx, self.config.clone(), listen, Some(self.store.clone()))
    }

    /// Plays every call. Whether all of them came out as they should.
    async fn show(&self) -> Result<bool, DemoError> {
        let ink = self.ink;
        let title = ink.bold(format!("Switchhook {}, a demonstration", env!("CARGO_PKG_VERSION")));
        let speed = format!(
            "Prompts and typing run {SPEED} times faster than life. The web server's times are real."
        );
        say(&format!("{title}\n\n{}{}\n", introduction(self.pbx), ink.dim(speed)));

        let begun = Instant::now();
        let mut daemon = self.daemon(ANY_PORT)?;
        let header = ["CALL", "RESULT", "REASON", "GOES TO", "THE NEXT PHONE SHOWS"].map(str::to_owned);
        let (mut rows, mut faults) = (vec![header], Vec::new());
        for (at, scene) in (1..).zip(scenes()) {
            let told = daemon.play(scene.script(self.pbx, self.webhook(scene.webhook)?, at)).await;
            let title = ink.bold(format!("{at}. {}", scene.title));
            let story =
                told.journal.as_ref().map(|j| Transcript::new(j, ink).to_string()).unwrap_or_default();
            say(&format!("\n\n{title}\n\n{story}{}\n", told.next_phone(&[])));
            rows.push(scene.row(&told));
            faults.extend(scene.faults(&told));
        }
        daemon.stop().await;

        let verdict = match faults.as_slice() {
            [] => ink.verdict(true, "Every call came out as it should."),
            faults => ink.verdict(false, format!("Not as it should be:\n  {}", faults.join("\n  "))),
        };
        let took = format!("The five calls took {:.1} s.", begun.elapsed().as_secs_f64());
        say(&format!("\n\n{}\n\n{}\n{verdict} {took}\n", ink.bold("In short"), columns(&rows)));
        let seconds = self.webhook("vip")?.guard_time().as_secs();
        let title = ink.bold(format!("With your own {}", self.pbx.name()));
        say(&format!("\n\n{title}\n\n{}", dialplan(self.pbx, seconds)));
        Ok(faults.is_empty())
    }

    /// Takes calls and prints them, until it is dropped.
    async fn serve(&self) -> Result<(), DemoError> {
        let usual = usual(self.pbx);
        let started = self.daemon(usual);
        let taken = matches!(started, Err(StartError::Bind { .. }));
        let mut daemon = if taken { self.daemon(ANY_PORT)? } else { started? };
        let (address, store) = (daemon.address(), self.store_path.display());
        let (listener, setting) = match self.pbx {
            PlayedPbx::Asterisk => {
                ("FastAGI", format!("In extensions.conf, under [globals]:\n\n    SWITCHHOOK = {address}\n"))
            }
            PlayedPbx::FreeSwitch => (
                "The outbound socket",
                format!("In vars.xml:\n\n    <X-PRE-PROCESS cmd=\"set\" data=\"switchhook={address}\"/>\n"),
            ),
        };
        let listens = match taken {
            false => format!("{listener} listens on {address}."),
            true => format!("{usual} is taken: {listener} listens on {address}. {setting}"),
        };
        let title = self.ink.bold("Waiting for calls");
        let code: Vec<String> = CODE.chars().map(String::from).collect();
        say(&format!(
            "\n\n{title}\n\n{listens}\nThe right code is {}. Each call is printed as it comes. They are kept until Ctrl-C:\n\n    \
             switchhook explain --list --store {store}\n",
            code.join(" ")
        ));
        while let Some(journal) = daemon.next().await {
            say(&format!("\n\n{}", Transcript::new(&journal, self.ink)));
        }
        Ok(())
    }
}

fn introduction(pbx: PlayedPbx) -> String {
    format!(
        "\
A caller types a code. A web server says where the call goes, and which name the phone shows.
{} and the web server are played here. The daemon, its sockets and its requests are real.
",
        pbx.name()
    )
}

/// How a PBX is pointed at the daemon. `seconds` is how long a call may take.
fn dialplan(pbx: PlayedPbx, seconds: u64) -> String {
    match pbx {
        PlayedPbx::Asterisk => format!(
            "\
1. Copy contrib/asterisk/extensions_switchhook.conf to /etc/asterisk, and put at the end of extensions.conf:

    #include extensions_switchhook.conf

2. Ask where the call comes in:

    [from-trunk]
    exten => _X.,1,Gosub(switchhook-webhook,s,1(vip,,{seconds}))
     same => n,GotoIf($[\"${{WEBHOOK_RESULT}}\"=\"SUCCESS\"]?ok)
     same => n,Goto(reception,s,1)
     same => n(ok),Gosub(switchhook-destination,s,1(support-phones))
     same => n,Goto(reception,s,1)

3. asterisk -rx \"dialplan reload\", then switchhook demo --serve, and call. It is this demonstration, for your telephone.

docs/asterisk.md {THE_REST}"
        ),
        PlayedPbx::FreeSwitch => format!(
            "\
1. Copy contrib/freeswitch/switchhook.xml to FreeSWITCH's conf/dialplan.

2. Ask where the call comes in:

    <extension name=\"support\">
      <condition field=\"destination_number\" expression=\"^0201234567$\">
        <action application=\"set\" data=\"switchhook_success=support_ok XML default\"/>
        <action application=\"set\" data=\"switchhook_failed=support_failed XML default\"/>
        <action application=\"set\" data=\"switchhook_seconds={seconds}\"/>
        <action application=\"execute_extension\" data=\"webhook-vip XML switchhook\"/>
      </condition>
    </extension>
    <extension name=\"support ok\">
      <condition field=\"destination_number\" expression=\"^support_ok$\">
        <action application=\"execute_extension\" data=\"destination-support_phones XML switchhook\"/>
        <action application=\"transfer\" data=\"support_failed XML default\"/>
      </condition>
    </extension>
    <extension name=\"support failed\">
      <condition field=\"destination_number\" expression=\"^support_failed$\">
        <action application=\"bridge\" data=\"user/100\"/>
      </condition>
    </extension>

3. fs_cli -x reloadxml, then switchhook demo --serve --pbx freeswitch, and call. It is this demonstration, for your telephone.

docs/freeswitch.md {THE_REST}"
        ),
    }
}

const THE_REST: &str =
    "has the rest, docs/webhook.md what your web server gets and answers, config.example.toml every key.\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// A demonstration that cannot fail would show nothing.
    #[test]
    fn a_call_that_comes_out_otherwise_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let house = House::build(PlayedPbx::Asterisk, folder.path()).await.expect("a house");
            let mut daemon = house.daemon(ANY_PORT).expect("a daemon");
            let [right, ..] = scenes();
            let told = daemon.play(right.script(house.pbx, house.webhook("vip").expect("vip"), 1)).await;
            assert_eq!(right.faults(&told), [""; 0]);
            let other = Scene { attempts: 2, destination: "216", ..right };
            assert_eq!(
                other.faults(&told),
                [
                    "The right code: attempts \"1\", not \"2\"",
                    "The right code: destination \"215\", not \"216\""
                ]
            );
            daemon.stop().await;
        });
    }
}
