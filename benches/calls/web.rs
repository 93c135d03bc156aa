//! A web server that answers at once.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it answers to everything.
pub(super) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 53\r\n\r\n\
    status=ACK&destination=%2B31502102544&callername=Acme";

/// For ever. Prints where.
pub(super) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            tokio::task::spawn_local(answer(socket));
        }
    }
}

async fn answer(mut socket: TcpStream) {
    socket.set_nodelay(true).expect("an option");
    let mut request = Vec::with_capacity(1024);
    while socket.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            if socket.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}
