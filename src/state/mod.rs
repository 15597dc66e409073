pub mod fingerprint;
pub mod layout;
pub mod record;
