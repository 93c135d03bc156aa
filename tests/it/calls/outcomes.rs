//! What comes of a call: the result, the variables, what the callee sees, what the caller hears, what the web server is
//! asked. One table for every PBX.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use switchhook::stage::server::{Request, Server};
use tokio::task::JoinSet;

use super::daemon::Daemon;
use super::pbx::{Caller, Pbx, Seen};
use super::table::{Row, rows};

#[tokio::test]
async fn every_call_comes_out_as_the_table_says() {
    for pbx in Pbx::ALL {
        let mut text = String::from(
            "[numbers]\ncountry = \"31\"\ntrunk_prefix = \"0\"\ninternational_prefix = \"00\"\n",
        );
        let mut playing = JoinSet::new();
        let mut servers = Vec::new();
        for row in rows() {
            let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a web server");
            text.push_str(&section(row, &server));
            servers.push(server);
        }
        let daemon = Daemon::start(&text);
        for (row, server) in rows().zip(servers) {
            let calls = daemon.calls();
            playing.spawn(async move {
                let caller = (row.caller)(Caller::of(row.name).typing(row.keys));
                let hang_up = caller.hang_up.clone();
                let thinking = async {
                    if row.hangs_up_when_asked {
                        server.asked(1).await;
                        hang_up.cancel();
                    }
                };
                let ((seen, journal), ()) = tokio::join!(calls.call(pbx, caller), thinking);
                let (expected, got) = (expected(row, &journal.call), got(seen, &server.requests()));
                let reason = row.result.split(' ').nth(1).unwrap_or("ok");
                let said =
                    format!("{pbx:?} {}\nexpected {expected:#?}\ngot {got:#?}\n{journal:#?}", row.name);
                (expected == got && journal.reason.as_str() == reason, said)
            });
        }
        let played = playing.join_all().await;
        daemon.stop().await;
        let wrong: Vec<String> =
            played.into_iter().filter(|(right, _)| !right).map(|(_, said)| said).collect();
        assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), rows().count(), wrong.join("\n"));
    }
}

fn section(row: &Row, server: &Server) -> String {
    let url = match row.says {
        "" if row.url.starts_with('/') => server.url(row.url),
        "" => row.url.to_owned(),
        says => {
            let query = row.url.find('?').map_or("", |at| &row.url[at..]);
            server.url(&format!("/say/{}{query}", utf8_percent_encode(says, NON_ALPHANUMERIC)))
        }
    };
    let name = row.name;
    let hook = row.hook.replace("@web@", &server.url(""));
    let ivr = match row.ivr {
        "" => String::new(),
        ivr => format!("[webhook.{name}.ivr]\ntimeout = \"2s\"\n{ivr}\n"),
    };
    format!("[webhook.{name}]\nurl = '{url}'\n{hook}\n{ivr}")
}

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    variables: BTreeMap<String, String>,
    last: String,
    callee: String,
    asked: Vec<String>,
    hears: Vec<String>,
    answered: bool,
    hung_up: bool,
}

/// Every result variable is set in every outcome, empty where there is nothing; the result comes last.
fn expected(row: &Row, call: &str) -> Came {
    let mut variables = BTreeMap::new();
    let mut last = String::new();
    // Nobody reads the variables of a channel that is gone, and not every PBX still sets them.
    if !row.hung_up && !row.result.is_empty() {
        let words = row.result.split(' ').map(|word| word.replace('-', ""));
        for (name, word) in ["RESULT", "REASON", "STATUS", "HTTP_STATUS"].into_iter().zip(words) {
            variables.insert(format!("WEBHOOK_{name}"), word);
        }
        let others = [("WEBHOOK_DESTINATION", ""), ("WEBHOOK_CALLERNAME", ""), ("WEBHOOK_CALL", call)];
        for (name, value) in others.iter().chain(row.sets) {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        last = "WEBHOOK_RESULT".to_owned();
    }
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Came {
        variables,
        last,
        callee: row.callee.to_owned(),
        asked: all(row.asked),
        hears: all(row.hears),
        answered: row.answered,
        hung_up: row.hung_up,
    }
}

fn got(seen: Seen, requests: &[Request]) -> Came {
    let gone = seen.hung_up || seen.variables.is_empty();
    Came {
        variables: if gone { BTreeMap::new() } else { seen.variables },
        last: if gone { String::new() } else { seen.last },
        callee: seen.callee,
        asked: requests.iter().map(asked).collect(),
        hears: seen.heard,
        answered: seen.answered,
        hung_up: seen.hung_up,
    }
}

/// Method and target; of `/say/TEXT` without the text; of a body what callers make different.
fn asked(request: &Request) -> String {
    let (path, query) = request.target.split_at(request.path().len());
    let path = if path.starts_with("/say/") { "/say" } else { path };
    let mut shown = format!("{} {path}{query}", request.method);
    if !request.body.is_empty() {
        for key in ["code", "did", "callerid", "callername"] {
            shown.push_str(&format!(" {key}={}", request.parameter(key).unwrap_or_default()));
        }
    }
    shown
}
