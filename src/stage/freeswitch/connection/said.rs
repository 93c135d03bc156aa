//! What is said of a session, and noted.

use tokio::io::AsyncWriteExt;

use super::{Connection, Message, Over};
use crate::stage::freeswitch::packet;
use crate::stage::{Event, Moment};

impl Connection {
    pub(super) async fn completed(&mut self, message: &Message, response: &str) -> Result<(), Over> {
        let Message { application, argument, id } = message;
        let mut headers = self.channel.headers("CHANNEL_EXECUTE_COMPLETE", (application, argument));
        let more = [
            ("Application", application.as_str()),
            ("Application-Data", argument),
            ("Application-Response", response),
            ("Application-UUID", id),
        ];
        headers.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self.send(headers).await
    }

    pub(super) async fn goodbye(&mut self) -> Result<(), Over> {
        let notice = packet::goodbye(self.channel.uuid());
        // Nobody may be listening.
        self.write(&notice).await.ok();
        self.stream.shutdown().await.ok();
        Err(Over)
    }

    pub(super) async fn dtmf(&mut self, key: char) -> Result<(), Over> {
        let mut headers = self.channel.headers("DTMF", ("", ""));
        headers.push(("DTMF-Digit".to_owned(), key.to_string()));
        self.send(headers).await
    }

    /// An event, perhaps with application, argument and id.
    pub(super) async fn event(&mut self, name: &str, of: Option<(&str, &str, &str)>) -> Result<(), Over> {
        let (application, argument, id) = of.unwrap_or_default();
        let mut headers = self.channel.headers(name, (application, argument));
        let more = [
            ("Application", application),
            ("Application-Data", argument),
            ("Application-Response", if name == "CHANNEL_EXECUTE_COMPLETE" { "_none_" } else { "" }),
            ("Application-UUID", id),
        ];
        headers.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self.send(headers).await
    }

    pub(super) async fn send(&mut self, headers: packet::Headers) -> Result<(), Over> {
        let name = headers.first().map_or("", |(_, name)| name.as_str());
        let wanted = self.filters.is_empty() || self.filters.iter().any(|filter| filter == name);
        if self.subscribed && wanted { self.write(&packet::event(&headers)).await } else { Ok(()) }
    }

    pub(super) async fn reply(&mut self, text: &str) -> Result<(), Over> {
        self.write(&packet::reply(text)).await
    }

    pub(super) async fn write(&mut self, text: &str) -> Result<(), Over> {
        self.note(Event::Sent(text.to_owned()));
        self.stream.write_all(text.as_bytes()).await.map_err(|_| Over)
    }

    pub(super) fn note(&mut self, event: Event) {
        self.transcript.push(Moment { at: self.began.elapsed(), event });
    }
}
