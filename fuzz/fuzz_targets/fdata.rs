#![no_main]

#[path = "../../tests/it/fuzz/support.rs"]
mod fuzz_support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_support::fdata(data));
