//! The caller's fingers, in virtual time: what is pressed while a sound plays and while digits are collected.
//!
//! The caller's clock stands still while the PBX runs no command. A real caller's does not, and a key pressed between
//! two commands is lost; but how long that gap is depends on this machine's load, and a test must not.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long a caller takes to react, and between keys: as in the recorded calls.
const PACE: Duration = Duration::from_millis(400);

/// Something that the caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Presses a key: `0-9 * # A-D`.
    Press(char),
    /// Hangs up.
    HangUp,
}

/// What the caller does when digits are collected. One entry serves one collection, the sounds before it included.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// What, each so long after the one before.
    pub keys: Vec<(Duration, Key)>,
    /// The clock starts with the first sound that a key can end, and not with the silence behind the sounds.
    pub over_prompt: bool,
}

impl Entry {
    /// Listens to the end, then presses these keys, one every 400 ms. Other characters than keys are left out.
    pub fn after(keys: &str) -> Entry {
        let keys = keys.chars().filter(|c| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D'));
        Entry { keys: keys.map(|key| (PACE, Key::Press(key))).collect(), over_prompt: false }
    }

    /// Presses these keys without listening to the end; the first 400 ms after the first sound began.
    pub fn over(keys: &str) -> Entry {
        Entry { over_prompt: true, ..Entry::after(keys) }
    }

    /// Presses nothing.
    pub fn nothing() -> Entry {
        Entry::default()
    }

    /// Then hangs up, so long after the last key.
    pub fn then_hang_up(mut self, after: Duration) -> Entry {
        self.keys.push((after, Key::HangUp));
        self
    }
}

/// How a sound or a collection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// How long it took.
    pub(super) took: Duration,
    /// The keys that counted or fell on deaf ears, with their times.
    pub(super) pressed: Vec<(Duration, char)>,
    /// The caller hung up at the end of it.
    pub(super) hung_up: bool,
}

/// The entries that are still to come, and the one in use.
#[derive(Debug)]
pub(super) struct Caller {
    entries: VecDeque<Entry>,
    current: Option<Current>,
    /// One digit was collected alone and the caller has more to press: a collection in silence goes on with it. That is
    /// how a server has another time for the first digit than between digits.
    begun: bool,
}

#[derive(Debug)]
struct Current {
    over_prompt: bool,
    /// Each with its time until it comes, counted from the one before.
    keys: VecDeque<(Duration, Key)>,
}

impl Caller {
    pub(super) fn new(entries: Vec<Entry>) -> Caller {
        Caller { entries: entries.into(), current: None, begun: false }
    }

    /// A sound of this length which any of these keys ends. Returns what was heard, and the key.
    pub(super) fn listen(&mut self, length: Duration, ends: &str) -> (Heard, Option<char>) {
        // A sound that no key can end is not what an entry waits for.
        if ends.is_empty() {
            return (Heard { took: length, pressed: Vec::new(), hung_up: false }, None);
        }
        self.begin_anew();
        let mut time = Time::new(self.current(), length, true);
        while let Some(key) = time.next() {
            match key {
                Key::Press(key) if ends.contains(key) => return (time.heard(false), Some(key)),
                Key::Press(_) => {}
                Key::HangUp => return (time.heard(true), None),
            }
        }
        (time.heard(false), None)
    }

    /// A sound, which any key ends, and then digits: until there are `max`, or `#`, or so long nothing. Returns what was
    /// heard, the digits, and whether the time ran out.
    pub(super) fn collect(
        &mut self,
        sound: Duration,
        first: Duration,
        between: Duration,
        max: usize,
    ) -> (Heard, String, bool) {
        if !sound.is_zero() {
            self.begin_anew();
        }
        let mut digits = String::new();
        let mut time = Time::new(self.current(), sound, true);
        let mut timed_out = false;
        let hung_up = loop {
            match time.next() {
                Some(Key::HangUp) => break true,
                Some(Key::Press('#')) => break false,
                Some(Key::Press(key)) => {
                    digits.push(key);
                    if digits.chars().count() >= max {
                        break false;
                    }
                    time.silence(between);
                }
                None if time.playing => time.silence(first),
                None => {
                    timed_out = true;
                    break false;
                }
            }
        };
        let heard = time.heard(hung_up);
        let more = self.current.as_ref().is_some_and(|entry| !entry.keys.is_empty());
        self.begun = max == 1 && digits.len() == 1 && more;
        if !self.begun {
            self.current = None;
        }
        (heard, digits, timed_out)
    }

    /// What was left of an entry was for a collection that did not come.
    fn begin_anew(&mut self) {
        if std::mem::take(&mut self.begun) {
            self.current = None;
        }
    }

    fn current(&mut self) -> &mut Current {
        let next = &mut self.entries;
        self.current.get_or_insert_with(|| {
            let entry = next.pop_front().unwrap_or_default();
            Current { over_prompt: entry.over_prompt, keys: entry.keys.into() }
        })
    }
}

/// Time that passes in one command.
struct Time<'a> {
    entry: &'a mut Current,
    now: Duration,
    /// When the sound or the patience is over.
    until: Duration,
    playing: bool,
    pressed: Vec<(Duration, char)>,
}

impl<'a> Time<'a> {
    fn new(entry: &'a mut Current, until: Duration, playing: bool) -> Time<'a> {
        Time { entry, now: Duration::ZERO, until, playing, pressed: Vec::new() }
    }

    /// The sound is over, or a key ended it: silence now, so long at most.
    fn silence(&mut self, patience: Duration) {
        self.playing = false;
        self.until = self.now + patience;
    }

    /// What the caller does before the time is over.
    fn next(&mut self) -> Option<Key> {
        let left = self.until.saturating_sub(self.now);
        if self.playing && !self.entry.over_prompt {
            self.now = self.until;
            return None;
        }
        match self.entry.keys.front_mut() {
            Some((wait, key)) if *wait <= left => {
                let (wait, key) = (*wait, *key);
                self.entry.keys.pop_front();
                self.entry.over_prompt = true;
                self.now += wait;
                if let Key::Press(digit) = key {
                    self.pressed.push((self.now, digit));
                }
                Some(key)
            }
            Some((wait, _)) => {
                *wait -= left;
                self.now = self.until;
                None
            }
            None => {
                self.now = self.until;
                None
            }
        }
    }

    fn heard(self, hung_up: bool) -> Heard {
        Heard { took: self.now, pressed: self.pressed, hung_up }
    }
}

/// The caller's own time has come, or what he waited for.
pub(super) async fn hangs_up(at: Option<Instant>, when: &CancellationToken) {
    match at {
        Some(at) => tokio::select! {
            () = sleep_until(at) => {}
            () = when.cancelled() => {}
        },
        None => when.cancelled().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn digits_end_as_asterisk_ends_them() {
        for (entry, max, digits, timed_out, took) in [
            (Entry::after("1234"), 4, "1234", false, 2_600),
            (Entry::over("1234"), 4, "1234", false, 1_600),
            (Entry::after("12"), 4, "12", true, 4_800),
            (Entry::after("0#"), 4, "0", false, 1_800),
            (Entry::after("#"), 4, "", false, 1_400),
            (Entry::nothing(), 4, "", true, 4_000),
            (Entry::after("12*4567"), 4, "12*4", false, 2_600),
        ] {
            let mut caller = Caller::new(vec![entry.clone()]);
            let (heard, got, out) = caller.collect(ms(1_000), ms(3_000), ms(3_000), max);
            assert_eq!((got.as_str(), out, heard.took), (digits, timed_out, ms(took)), "{entry:?}");
        }
    }

    #[test]
    fn a_key_in_the_error_prompt_ends_it_and_the_rest_is_collected_in_silence() {
        let mut caller = Caller::new(vec![Entry::over("1234"), Entry::after("99")]);
        let (heard, key) = caller.listen(ms(1_000), "0123456789*#");
        assert_eq!((heard.took, key), (ms(400), Some('1')));
        let (heard, digits, _) = caller.collect(Duration::ZERO, ms(3_000), ms(3_000), 3);
        assert_eq!((heard.took, digits.as_str()), (ms(1_200), "234"));
        let (_, digits, _) = caller.collect(Duration::ZERO, ms(3_000), ms(3_000), 2);
        assert_eq!(digits, "99");
    }

    #[test]
    fn a_first_digit_collected_alone_is_the_beginning_of_its_entry() {
        let mut caller = Caller::new(vec![Entry::after("1234#"), Entry::after("77"), Entry::after("9")]);
        assert_eq!(caller.collect(ms(1_000), ms(3_000), ms(3_000), 1).1, "1");
        assert_eq!(caller.collect(Duration::ZERO, ms(1_000), ms(1_000), 7).1, "234");
        assert_eq!(caller.collect(ms(1_000), ms(3_000), ms(3_000), 1).1, "7");
        assert_eq!(caller.collect(ms(1_000), ms(3_000), ms(3_000), 1).1, "9");
    }

    #[test]
    fn who_listens_to_the_end_presses_nothing_in_a_sound() {
        let mut caller = Caller::new(vec![Entry::after("1")]);
        assert_eq!(caller.listen(ms(1_000), "0123456789*#").1, None);
        assert_eq!(caller.listen(ms(1_000), "").0.took, ms(1_000));
        assert_eq!(caller.collect(ms(1_000), ms(3_000), ms(3_000), 1).1, "1");
    }

    #[test]
    fn a_hangup_comes_in_the_middle() {
        let mut caller = Caller::new(vec![Entry::over("1").then_hang_up(ms(100))]);
        let (heard, digits, _) = caller.collect(ms(1_000), ms(3_000), ms(3_000), 4);
        assert_eq!((heard.hung_up, heard.took, digits.as_str()), (true, ms(500), "1"));
    }
}
