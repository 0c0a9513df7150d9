//! All tests of the whole program, in one binary.
#![cfg(test)]

mod tidy;
