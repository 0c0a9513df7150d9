//! All tests of the whole program, in one binary.
#![cfg(test)]

mod cli;
mod docs;
mod kafka;
mod rules;
mod tidy;
