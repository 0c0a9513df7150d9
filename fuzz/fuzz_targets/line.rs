//! Any bytes as lines: the ways to read them against each other and against `serde_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| event::harness::line(bytes));
