//! Any bytes as seeds of rules, views and lines: the plan against the reference.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| detect::harness::plan(bytes));
