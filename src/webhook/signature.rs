//! Signatures as Standard Webhooks has them, `v1`: HMAC-SHA256 over `id.timestamp.payload`.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use aws_lc_rs::hmac;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::terms::Secret;

/// Keys are copied about with and without their padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signing key.
#[derive(Clone, Debug)]
pub struct Key(hmac::Key);

/// Why a text is no signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not begin with `whsec_`.
    #[error("a signing key begins with whsec_, then 24 to 64 random bytes in base64")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows whsec_ is not base64")]
    Base64,
    /// Too short to be safe, or too long.
    #[error("the key has {0} bytes, it must have 24 to 64")]
    Length(usize),
}

impl Key {
    /// Reads a key of the form `whsec_` and base64.
    pub fn parse(secret: &Secret) -> Result<Key, KeyError> {
        let encoded = secret.reveal().trim().strip_prefix("whsec_").ok_or(KeyError::Prefix)?;
        let bytes = LENIENT.decode(encoded).map_err(|_| KeyError::Base64)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(KeyError::Length(bytes.len()));
        }
        Ok(Key(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of `webhook-signature`. `timestamp` is in seconds since 1970, as it stands in `webhook-timestamp`.
    pub fn sign(&self, id: &str, timestamp: i64, payload: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(id.as_bytes());
        context.update(format!(".{timestamp}.").as_bytes());
        context.update(payload);
        let mut out = String::with_capacity(47);
        out.push_str("v1,");
        LENIENT.encode_string(context.sign(), &mut out);
        out
    }
}
