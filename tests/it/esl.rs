//! FreeSWITCH's outbound sessions: recorded conversations, and what a PBX can say that would break one.

use std::time::Instant;

use switchhook::freeswitch::outbound::OutboundSession;

use crate::dialogue::{Cut, Dialogue};

/// Plays a dialogue as it is, byte by byte, and cut at every byte; at every 61st where that would take long.
fn play(dialogue: &Dialogue) -> Result<(), String> {
    let bytes = dialogue.pbx_bytes();
    let step = if bytes > 3000 { 61 } else { 1 };
    let cuts = (1..bytes).step_by(step).map(Cut::At);
    for cut in [Cut::Nowhere, Cut::Everywhere].into_iter().chain(cuts) {
        let now = Instant::now();
        dialogue.play(cut, &mut OutboundSession::new(now), now)?;
    }
    Ok(())
}

#[test]
fn recorded_conversations_however_they_are_cut() {
    let all = Dialogue::all("freeswitch");
    assert!(all.len() >= 25, "only {} dialogues were read", all.len());
    let wrong: Vec<String> = all.iter().filter_map(|d| play(d).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
