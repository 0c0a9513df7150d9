//! Tests of the crate as its users see it.
#![cfg(test)]

mod alerts;
mod corpus;
mod correlations;
mod explain;
mod lints;
mod schema;
