//! How a call came out: closed lists of words, as the dialplan and the metrics see them.

use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// `WEBHOOK_RESULT`. The dialplan takes anything but `SUCCESS` as failed.
    CallResult {
        /// The web server said ACK, and what it asked for was allowed.
        Success = "SUCCESS",
        /// Everything else.
        Failed = "FAILED",
    }
}

words! {
    /// `WEBHOOK_STATUS`: what the web server answered.
    Status {
        /// The input is good.
        Ack = "ACK",
        /// The input is not good.
        Nak = "NAK",
        /// Something went wrong over there.
        Err = "ERR",
    }
}

words! {
    /// `WEBHOOK_REASON`: why it came out so.
    Reason {
        /// Success.
        Ok = "ok",
        /// The web server, or the check before it, said that the input is wrong.
        Nak = "nak",
        /// The web server answered ERR.
        Err = "err",
        /// The caller pressed nothing.
        NoInput = "no_input",
        /// The web server's name could not be resolved.
        Dns = "dns",
        /// No connection to the web server.
        Connect = "connect",
        /// No trusted TLS session.
        Tls = "tls",
        /// The time of the webhook, or of the whole call, was over.
        Timeout = "timeout",
        /// Another HTTP status than 2xx.
        HttpStatus = "http_status",
        /// An answer that says nothing we know.
        BadAnswer = "bad_answer",
        /// The address policy forbids the web server's address.
        Blocked = "blocked",
        /// The answered destination is not allowed.
        DestinationRefused = "destination_refused",
        /// The caller hung up.
        Hangup = "hangup",
        /// No webhook of that name.
        UnknownWebhook = "unknown_webhook",
        /// The webhook is switched off.
        Disabled = "disabled",
        /// Too many wrong codes from this caller.
        LockedOut = "locked_out",
        /// The daemon has as many calls as it may have.
        Overload = "overload",
        /// The daemon is going down.
        Shutdown = "shutdown",
        /// The PBX said something that is not its protocol.
        ProtocolError = "protocol_error",
    }
}
