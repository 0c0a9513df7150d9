//! Any bytes as a rule file: loading, compiling, and the first rule against the reference.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| detect::harness::rules(bytes));
