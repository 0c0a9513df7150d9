//! Pythia against a real Apache Kafka.

mod harness;

use harness::Broker;

#[test]
fn a_broker_of_our_own_survives_a_kill() {
    let Some(broker) = Broker::own("survives", "") else {
        return;
    };
    broker.create_topic("before", 3, &[]);
    broker.kill();
    broker.restart();
    let metadata = topics(&broker);
    assert!(metadata.contains(&("before".to_owned(), 3)), "{metadata:?}");
}

fn topics(broker: &Broker) -> Vec<(String, usize)> {
    let timeout = std::time::Duration::from_secs(10);
    let admin = broker.admin();
    let metadata = admin
        .inner()
        .fetch_metadata(None, timeout)
        .expect("the broker answers");
    metadata
        .topics()
        .iter()
        .map(|t| (t.name().to_owned(), t.partitions().len()))
        .collect()
}
