//! What holds for the sessions of both PBXs' links. Shared by their tests.

use std::time::{Duration, Instant};

use switchhook::track::{Session, SessionOutput};

use crate::following::START;

type Said<S> = SessionOutput<<S as Session>::Warning, <S as Session>::Lost>;

/// What a session has said until it waits: what it wrote, and the rest.
pub(crate) fn drain<S: Session>(session: &mut S) -> (Vec<u8>, Vec<Said<S>>) {
    let (mut written, mut rest) = (Vec::new(), Vec::new());
    loop {
        match session.poll_output() {
            SessionOutput::Write(bytes) => written.extend(bytes),
            end @ (SessionOutput::Wait(_) | SessionOutput::Closed) => {
                rest.push(end);
                return (written, rest);
            }
            other => rest.push(other),
        }
    }
}

/// Lets the time pass, with a peer that says nothing more, until the link is lost; why it is.
pub(crate) fn given_up(mut session: impl Session, mut now: Instant) -> String {
    let mut waits = 0;
    let lost = loop {
        match session.poll_output() {
            SessionOutput::Wait(at) => {
                waits += 1;
                assert!(waits < 10 && at >= now, "it does not end");
                now = at;
                session.handle_timeout(now);
            }
            SessionOutput::Lost(lost) => break lost.to_string(),
            _ => {}
        }
    };
    assert!(matches!(session.poll_output(), SessionOutput::Closed));
    lost
}

/// Whatever a peer sends, and wherever its words are cut, the session waits or is over.
pub(crate) fn survives(
    mut session: impl Session,
    mut now: Instant,
    words: impl IntoIterator<Item = (&'static str, usize)>,
    bytes: &[u8],
) {
    for (word, cut) in words {
        let (first, rest) = word.as_bytes().split_at(cut.min(word.len()));
        session.handle_bytes(now, START, first);
        session.handle_bytes(now, START, rest);
        now += Duration::from_secs(1);
        session.handle_timeout(now);
        let (_, said) = drain(&mut session);
        assert!(matches!(said.last(), Some(SessionOutput::Wait(_) | SessionOutput::Closed)), "{word}");
    }
    session.handle_bytes(now, START, bytes);
    session.handle_eof();
    assert!(matches!(drain(&mut session).1.last(), Some(SessionOutput::Closed)));
}
