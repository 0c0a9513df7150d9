//! Records that are hostile around their line: one of them must not end the service, nor come back for ever.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};

use super::fleet::{self, Setting};
use super::harness::Broker;

#[test]
fn a_header_name_that_is_no_text_ends_nothing() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let setting = Setting::new(broker, "names");
    produce_raw(broker.bootstrap(), &setting.input, b"\xff\xfe", b"no event");
    let producer = fleet::producer(broker);
    for sent in &fleet::recorded(50) {
        fleet::send(&producer, &setting.input, sent);
    }
    producer
        .flush(Duration::from_secs(20))
        .expect("all lines are delivered");
    let mut pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.assert_running();
    // Not read back from the topic: the client would panic on the name here as well.
    assert_eq!(pythia.metric("pythia_dlq_total"), Some(1.0));
    assert_eq!(pythia.metric("pythia_lines_total"), Some(51.0));
    pythia.stop();
}

#[test]
fn a_dead_letter_with_headers_too_large_for_its_topic_arrives_without_them() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "headers");
    setting.dead_letters = "headers.small-dlq".into();
    broker.create_topic(&setting.dead_letters, 1, &[("max.message.bytes", "5000")]);
    let ballast = noise(60_000);
    let headers = OwnedHeaders::new().insert(Header {
        key: "trace",
        value: Some(&ballast),
    });
    let producer = fleet::producer(broker);
    let record = BaseRecord::to(&setting.input)
        .key("web-01")
        .payload("no event")
        .headers(headers);
    producer
        .send(record)
        .map_err(|(error, _)| error)
        .expect("it is queued");
    producer
        .flush(Duration::from_secs(20))
        .expect("it is delivered");
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();
    let letters = fleet::read_all(broker, &setting.dead_letters);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].headers["pythia.left_out"], "key, headers");
    assert_eq!(letters[0].headers["pythia.value.bytes"], "8");
    assert!(letters[0].headers.contains_key("pythia.source.offset"));
}

/// A broker refuses a batch as a whole: its small records are none the worse for the large one among them.
#[test]
fn small_dead_letters_beside_a_large_one_arrive_whole() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "beside");
    setting.dead_letters = "beside.small-dlq".into();
    broker.create_topic(&setting.dead_letters, 1, &[("max.message.bytes", "40000")]);
    let mut lines: Vec<Vec<u8>> = (0..20)
        .map(|n| format!("no event: {n}").into_bytes())
        .collect();
    lines.insert(10, noise(300_000));
    let sent: Vec<_> = lines
        .iter()
        .map(|line| fleet::Sent {
            host: "web-01".into(),
            line: line.clone(),
        })
        .collect();
    fleet::produce(broker, &setting.input, &sent);
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &setting.input, &setting.group);
    pythia.stop();
    let letters = fleet::read_all(broker, &setting.dead_letters);
    let (cut, whole): (Vec<_>, Vec<_>) = letters
        .iter()
        .partition(|letter| letter.headers.contains_key("pythia.value.bytes"));
    assert_eq!(cut.len(), 1);
    assert!(lines[10].starts_with(&cut[0].value) && cut[0].value.len() > 10_000);
    lines.remove(10);
    let mut whole: Vec<_> = whole.iter().map(|letter| &letter.value).collect();
    whole.sort();
    lines.sort();
    assert_eq!(whole, lines.iter().collect::<Vec<_>>());
}

#[test]
fn a_pattern_does_not_find_what_pythia_writes() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut setting = Setting::new(broker, "circle");
    let topic = setting.input.clone();
    let lines: Vec<_> = fleet::hostile()
        .into_iter()
        .map(|(_, line)| fleet::Sent {
            host: "web-01".into(),
            line,
        })
        .collect();
    fleet::produce(broker, &topic, &lines);
    setting.input = "^circle\\\\..*".into();
    let pythia = setting.start("one", "");
    fleet::wait_until_committed(broker, &topic, &setting.group);
    std::thread::sleep(Duration::from_secs(1));
    let summary = pythia.stop();
    assert!(
        summary
            .iter()
            .all(|partition| partition["topic"] == topic.as_str()),
        "{summary:?}"
    );
    assert_eq!(setting.dead_letters(broker).len(), lines.len());
}

/// Bytes that no codec makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_be_bytes()[3]
    };
    (0..len).map(|_| byte()).collect()
}

/// Produces one record whose header has this name, by hand: no client sends such a name. Partition 0.
fn produce_raw(bootstrap: &str, topic: &str, name: &[u8], value: &[u8]) {
    let varint = |n: usize| {
        let mut zigzag = n << 1;
        let mut bytes = Vec::new();
        while zigzag >= 0x80 {
            bytes.push(u8::try_from(zigzag & 0x7f).expect("7 bits") | 0x80);
            zigzag >>= 7;
        }
        bytes.push(u8::try_from(zigzag).expect("7 bits"));
        bytes
    };
    let piece = |bytes: &[u8]| [varint(bytes.len()), bytes.to_vec()].concat();
    let short = |len: usize| u16::try_from(len).expect("short").to_be_bytes();
    let long = |len: usize| u32::try_from(len).expect("short").to_be_bytes();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let now = u64::try_from(now.as_millis())
        .expect("before 2^64")
        .to_be_bytes();
    // Attributes, time and offset deltas; key, value, one header without a value.
    let record = [
        vec![0, 0, 0],
        piece(b"web-01"),
        piece(value),
        varint(1),
        piece(name),
        vec![1],
    ]
    .concat();
    // Attributes, last offset delta, times, no producer id, epoch and sequence, one record.
    let checked = [
        &[0, 0, 0, 0, 0, 0][..],
        &now,
        &now,
        &[0xff; 14],
        &1_u32.to_be_bytes(),
        &piece(&record),
    ]
    .concat();
    let batch = [
        &[0; 8][..],
        &long(checked.len() + 9),
        &[0xff; 4],
        &[2],
        &crc32c(&checked).to_be_bytes(),
        &checked,
    ]
    .concat();
    // Produce, version 3: no transaction, all acknowledgements, 10 s, one topic, one partition.
    let request = [
        &[0, 0, 0, 3, 0, 0, 0, 1, 0, 1, b'x'][..],
        &[0xff, 0xff, 0xff, 0xff],
        &10_000_u32.to_be_bytes(),
        &1_u32.to_be_bytes(),
        &short(topic.len()),
        topic.as_bytes(),
        &1_u32.to_be_bytes(),
        &0_u32.to_be_bytes(),
        &long(batch.len()),
        &batch,
    ]
    .concat();
    let mut stream = TcpStream::connect(bootstrap).expect("the broker listens");
    stream
        .write_all(&[&long(request.len())[..], &request].concat())
        .expect("it takes a request");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("it answers");
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("short")];
    stream.read_exact(&mut answer).expect("it answers");
    // Correlation, one topic, its name, one partition, its number, the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(&answer[at..at + 2], &[0, 0], "the broker takes the record");
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}
