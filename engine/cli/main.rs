//! The program `pythia`: parses the command line, wires the crates, prints.

fn main() {}
