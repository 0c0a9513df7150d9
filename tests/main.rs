//! All tests of the whole program, in one binary.
#![cfg(test)]

mod authors;
mod cli;
mod conformance;
mod diagnostics;
mod docs;
mod explain;
mod kafka;
mod life_of_an_event;
mod rules;
mod tidy;
