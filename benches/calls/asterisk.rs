//! Plays Asterisk's side of many calls.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// For one call. One that takes longer is a bug of the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many calls, so many of them at a time; the microseconds that each took. Every one must end with SUCCESS.
pub(super) fn play(server: SocketAddr, calls: usize, side_by_side: usize) -> Vec<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let next = Rc::new(Cell::new(0));
    let took = Rc::new(RefCell::new(Vec::with_capacity(calls)));
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut callers = Vec::new();
        for _ in 0..side_by_side {
            let (next, took) = (next.clone(), took.clone());
            callers.push(tokio::task::spawn_local(async move {
                while next.get() < calls {
                    let number = next.replace(next.get() + 1);
                    let begun = Instant::now();
                    let result = tokio::time::timeout(PATIENCE, call(server, number)).await;
                    let result = result.expect("a call in time").expect("a call to its end");
                    assert_eq!(result, "SUCCESS", "call {number}");
                    took.borrow_mut().push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
            }));
        }
        for caller in callers {
            caller.await.expect("a caller");
        }
    });
    took.take()
}

/// One call; the result that it was given last.
async fn call(server: SocketAddr, number: usize) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(server).await?;
    socket.set_nodelay(true)?;
    let environment = format!(
        "agi_network: yes\nagi_network_script: webhook/bench\nagi_request: agi://{server}/webhook/bench\n\
         agi_channel: PJSIP/trunk-{number:08x}\nagi_language: en\nagi_type: PJSIP\n\
         agi_uniqueid: 1795318099.{number}\nagi_version: 22.10.1\nagi_callerid: 0201234567\n\
         agi_calleridname: Alice Example\nagi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\n\
         agi_callingtns: 0\nagi_dnid: 31502102544\nagi_rdnis: unknown\nagi_context: from-trunk\n\
         agi_extension: 31502102544\nagi_priority: 2\nagi_enhanced: 0.0\nagi_accountcode: \n\
         agi_threadid: 140202029872832\n\n"
    );
    socket.write_all(environment.as_bytes()).await?;
    let (mut unread, mut result) = (Vec::with_capacity(1024), String::new());
    while socket.read_buf(&mut unread).await? > 0 {
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&unread[..end]).into_owned();
            unread.drain(..=end);
            if let Some(value) = line.strip_prefix("SET VARIABLE WEBHOOK_RESULT ") {
                value.trim_matches('"').clone_into(&mut result);
            }
            socket.write_all(b"200 result=1\n").await?;
        }
    }
    Ok(result)
}
