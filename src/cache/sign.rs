//! Who vouches for a record: ed25519 signatures in the format of minisign, so that its tool checks them as well.
//!
//! Unaware of what is signed.

use std::io::Cursor;

use anyhow::{Context as _, Result};
use minisign::{KeyPair, PublicKey, SecretKeyBox, SignatureBox};

/// A key that signs.
pub struct SigningKey {
    secret: minisign::SecretKey,
    public: TrustedKey,
}

/// A key whose signatures are believed.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    key: PublicKey,
}

/// The library gives each of its errors a text of its own.
fn told(error: minisign::PError) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

impl SigningKey {
    /// A new one, which nobody else has.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<SigningKey> {
        let KeyPair { pk, sk } = KeyPair::generate_unencrypted_keypair().map_err(told)?;
        Ok(SigningKey { secret: sk, public: TrustedKey { key: pk } })
    }

    /// Out of the text of its file, or of the second line of that alone.
    ///
    /// # Errors
    /// It is no such key, or one with a password.
    pub fn parse(text: &str) -> Result<SigningKey> {
        let text = text.trim();
        let text = if text.contains('\n') { text.to_owned() } else { format!("untrusted comment: key\n{text}") };
        let secret = SecretKeyBox::from_string(&text).and_then(SecretKeyBox::into_unencrypted_secret_key).map_err(told);
        let secret = secret.context("it is no secret key of minisign without a password")?;
        let key = PublicKey::from_secret_key(&secret).map_err(told)?;
        Ok(SigningKey { secret, public: TrustedKey { key } })
    }

    /// The text of its file.
    ///
    /// # Errors
    /// The key cannot be written.
    pub fn text(&self) -> Result<String> {
        let text = self.secret.to_box(Some("secret key of an optbuild cache")).map_err(told)?;
        Ok(text.to_string())
    }

    pub fn public(&self) -> &TrustedKey {
        &self.public
    }

    /// A signature with a comment that it covers.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> Result<String> {
        let signed = minisign::sign(Some(&self.public.key), &self.secret, Cursor::new(bytes), Some(comment), None);
        Ok(signed.map_err(told)?.into_string())
    }
}

impl TrustedKey {
    /// Out of what `optbuild cache key` prints: the second line of a file of minisign.
    ///
    /// # Errors
    /// It is no such key.
    pub fn parse(text: &str) -> Result<TrustedKey> {
        let line = text.trim().lines().last().unwrap_or_default().trim();
        let key = PublicKey::from_base64(line).map_err(told);
        Ok(TrustedKey { key: key.with_context(|| format!("`{line}` is no public key of minisign"))? })
    }

    /// As `trusted-keys` takes it.
    pub fn text(&self) -> String {
        self.key.to_base64()
    }

    /// The comment that a signature covers, if this key made it for these bytes.
    ///
    /// # Errors
    /// It is no signature, of another key, or of other bytes.
    pub fn verify(&self, bytes: &[u8], signature: &str) -> Result<String> {
        let signature = SignatureBox::from_string(signature).map_err(told)?;
        minisign::verify(&self.key, &signature, Cursor::new(bytes), true, false, false).map_err(told)?;
        signature.trusted_comment().map_err(told)
    }
}
