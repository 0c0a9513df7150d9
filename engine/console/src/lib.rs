//! What every program shows and reads alike: settings, printing, progress. Knows no Kafka, no Arrow, no matching.
