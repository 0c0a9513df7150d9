//! The Kafka service: lines in, alerts out, offsets through a ledger.
