//! Speed and memory, as multiples of a floor measured in the same run.

fn main() {}
