//! Plays a PBX and a web server against a socket: for the demonstration, `switchhook call` and tests.
