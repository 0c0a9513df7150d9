//! Every shipper's envelope, the order of host sources, and what is no event. Lines are written by hand
//! after the shippers' manuals.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Opener, header_host, is_id};
use crate::harness::{lines, opened_is_whole};
use crate::{Fault, Fields, Origin, Profile};

const EVENT: &str = r#"{"ID":"1700000000.123:4711","SYSCALL":{"syscall":59,"exe":"/usr/bin/\"q\"","key":"a%01b"},"PATH":[{"item":0,"name":"/ü"}]}"#;

/// The event's text and host's name in a line, or the fault.
fn open_with(
    line: &str,
    profile: &Profile,
    origin: &Origin<'_>,
) -> Result<(String, Option<String>), Fault> {
    opened_is_whole(line.as_bytes());
    let mut opener = Opener::default();
    // Once over another envelope: nothing of it may be left behind.
    let other = json!({"host": "other", "message": json!({"log": EVENT}).to_string()}).to_string();
    opener
        .open(
            other.as_bytes(),
            &Fields::default(),
            &Profile::laurel(),
            origin,
        )
        .unwrap();
    let opened = opener.open(line.as_bytes(), &Fields::default(), profile, origin)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ok((text(opened.text), opened.host.map(text)))
}

fn open(line: &str) -> Result<(String, Option<String>), Fault> {
    open_with(line, &Profile::laurel(), &Origin::default())
}

#[track_caller]
fn check(line: &str, host: Option<&str>) {
    assert_eq!(
        open(line),
        Ok((EVENT.to_owned(), host.map(str::to_owned))),
        "{line}"
    );
}

#[test]
fn laurel_itself() {
    check(EVENT, None);
    check(&format!("{EVENT}\n"), None);
    check(&format!("{EVENT}\r\n"), None);
    check(&format!("@cee: {EVENT}"), None);
}

#[test]
fn vector() {
    let line = json!({"file": "/var/log/laurel/audit.log", "host": "web-01", "message": EVENT,
        "source_type": "file", "timestamp": "2026-11-24T08:35:15.000Z"});
    check(&line.to_string(), Some("web-01"));
}

#[test]
fn filebeat_with_message() {
    let line = json!({"@timestamp": "2026-11-24T08:35:15.000Z", "@metadata": {"beat": "filebeat"},
        "message": EVENT, "log": {"offset": 0, "file": {"path": "/var/log/laurel/audit.log"}},
        "host": {"name": "web-01.corp.example", "hostname": "web-01"}, "agent": {"name": "a", "hostname": "b"}});
    check(&line.to_string(), Some("web-01.corp.example"));
}

#[test]
fn filebeat_ndjson_at_the_root() {
    let line = r#"{"@timestamp":"2026-11-24T08:35:15.000Z","host":{"hostname":"web-01"},"ID":"1700000000.123:4711","CWD":{"cwd":"/"},"agent":{"name":"a"}}"#;
    assert_eq!(open(line), Ok((line.to_owned(), Some("web-01".to_owned()))));
}

#[test]
fn filebeat_ndjson_below_a_member() {
    check(
        &format!(r#"{{"agent":{{"name":"a"}},"laurel": {EVENT} ,"x":1}}"#),
        Some("a"),
    );
    check(&format!(r#"{{"x":[{{}}],"json":{EVENT}}}"#), None);
}

#[test]
fn elastic_agent_keeps_the_original() {
    let line = json!({"event": {"dataset": "laurel", "original": EVENT}, "message": "new process /bin/sh", "agent": {"name": "a"}});
    check(&line.to_string(), Some("a"));
    check(
        &json!({"event.original": EVENT, "host.name": "web-01"}).to_string(),
        Some("web-01"),
    );
}

#[test]
fn fluent_bit() {
    check(
        &json!({"@timestamp": 1_700_000_000.123, "log": EVENT}).to_string(),
        None,
    );
    let line = format!(
        r#"{{"@timestamp":1700000000.123,{}"#,
        EVENT.strip_prefix('{').unwrap()
    );
    assert_eq!(open(&line), Ok((line.clone(), None)));
}

#[test]
fn rsyslog() {
    let line = json!({"@timestamp": "2026-11-24T08:35:15+00:00", "host": "web-01", "message": format!(" @cee: {EVENT}")});
    check(&line.to_string(), Some("web-01"));
    check(
        &format!("<13>Nov 24 08:35:15 web-01 laurel[812]: {EVENT}"),
        Some("web-01"),
    );
    check(
        &format!("Nov  4 08:35:15 web-01 laurel: @cee: {EVENT}"),
        Some("web-01"),
    );
    check(
        &format!("2026-11-24T08:35:15.123456+00:00 web-01 laurel: {EVENT}"),
        Some("web-01"),
    );
    check(
        &format!("<13>1 2026-11-24T08:35:15.123Z web-01 laurel 812 - - {EVENT}"),
        Some("web-01"),
    );
}

#[test]
fn syslog_ng() {
    check(
        &format!("2026-11-24T08:35:15+00:00 web-01 laurel[812]: {EVENT}"),
        Some("web-01"),
    );
}

#[test]
fn a_string_in_a_string_is_opened_but_no_third_one() {
    let once = json!({"log": EVENT, "hostname": "near"}).to_string();
    let twice = json!({"message": once, "host": "relay"}).to_string();
    check(&twice, Some("near"));
    let thrice = json!({"message": twice}).to_string();
    assert_eq!(open(&thrice), Err(Fault::NoEvent));
    check(&format!(r#"{{"message":{{"log":{EVENT}}}}}"#), None);
    assert_eq!(
        open(&format!(r#"{{"json":{{"message":{{"log":{EVENT}}}}}}}"#)),
        Err(Fault::NoEvent)
    );
}

#[test]
fn candidates_are_tried_in_the_order_of_the_profile() {
    let second = EVENT.replace("4711", "4712");
    check(&json!({"log": second, "message": EVENT}).to_string(), None);
    check(
        &json!({"log": EVENT, "message": "started {pid}"}).to_string(),
        None,
    );
    check(
        &json!({"log": EVENT, "message": {"ID": "7"}}).to_string(),
        None,
    );
    check(
        &json!({"log": EVENT, "message": [1], "json": null}).to_string(),
        None,
    );
    check(
        &json!({"log": EVENT, "ID": "of the shipper"}).to_string(),
        None,
    );
    let profile = Profile {
        envelope: vec!["a.b".into()],
        ..Profile::laurel()
    };
    let line = json!({"a": {"b": EVENT}, "message": second}).to_string();
    assert_eq!(
        open_with(&line, &profile, &Origin::default()).unwrap().0,
        EVENT
    );
    let elsewhere = json!({"message": EVENT}).to_string();
    assert_eq!(
        open_with(&elsewhere, &profile, &Origin::default()),
        Err(Fault::NoEvent)
    );
}

#[test]
fn hosts_are_found_in_the_order_of_the_chain() {
    let mut members = vec![
        ("host", json!({"name": "1", "hostname": "2"})),
        ("host", json!({"hostname": "2", "ip": ["192.0.2.1"]})),
        ("host", json!("3")),
        ("agent", json!({"hostname": "4", "name": "5"})),
        ("agent", json!({"name": "5"})),
        ("hostname", json!("6")),
    ];
    let origin = Origin {
        host: Some(b"8"),
        scope: None,
    };
    let header = "<13>Nov 24 08:35:15 7 laurel: ";
    for expected in 1..=6 {
        let object: serde_json::Map<_, _> = members
            .iter()
            .rev()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let mut line = Value::Object(object);
        line["message"] = EVENT.into();
        let opened = open_with(&format!("{header}{line}"), &Profile::laurel(), &origin).unwrap();
        assert_eq!(opened.1.as_deref(), Some(&*expected.to_string()), "{line}");
        members.remove(0);
    }
    let opened = open_with(&format!("{header}{EVENT}"), &Profile::laurel(), &origin).unwrap();
    assert_eq!(opened.1.as_deref(), Some("7"));
    let opened = open_with(EVENT, &Profile::laurel(), &origin).unwrap();
    assert_eq!(opened.1.as_deref(), Some("8"));
    let nobody = Origin {
        host: Some(b""),
        scope: None,
    };
    assert_eq!(
        open_with(EVENT, &Profile::laurel(), &nobody).unwrap().1,
        None
    );
}

#[test]
fn node_goes_before_the_shippers_host_and_the_pointer_before_node() {
    let event = EVENT.replacen('{', r#"{"NODE":"node%2b1","#, 1);
    let line = json!({"fields": {"a/b": ["x", "pointed"]}, "host": "vector", "message": event})
        .to_string();
    assert_eq!(open(&line).unwrap().1.as_deref(), Some("node+1"));
    let mut profile = Profile {
        host_pointer: Some("/fields/a~1b/1".into()),
        ..Profile::laurel()
    };
    let origin = Origin::default();
    assert_eq!(
        open_with(&line, &profile, &origin).unwrap().1.as_deref(),
        Some("pointed")
    );
    profile.host_pointer = Some("/fields/none".into());
    assert_eq!(
        open_with(&line, &profile, &origin).unwrap().1.as_deref(),
        Some("node+1")
    );
}

#[test]
fn node_may_be_an_array_of_bytes() {
    let with_node = |node: &str| format!(r#"{{"ID":"1.000:1","NODE":{node},"host":"shipper"}}"#);
    for (node, host) in [
        ("[119,101,98,45,48,49]", "web-01"),
        ("[195,188]", "ü"),
        ("[]", "shipper"),
        ("[256]", "shipper"),
        (r#"["a"]"#, "shipper"),
        ("null", "shipper"),
        (r#""""#, "shipper"),
        (r#""w\u0065b""#, "web"),
    ] {
        assert_eq!(
            open(&with_node(node)).unwrap().1.as_deref(),
            Some(host),
            "{node}"
        );
    }
}

#[test]
fn headers_without_a_host_give_none() {
    for (header, host) in [
        ("<13>Nov 24 08:35:15 192.0.2.7 laurel: ", Some("192.0.2.7")),
        ("Nov 24 08:35:15 laurel: ", None),
        ("<13>1 2026-11-24T08:35:15Z - laurel - - - ", None),
        ("@cee: ", None),
        ("laurel: ", None),
        ("2026-11-24 web-01 ", None),
        ("<13", None),
        ("Nov 24 08:35 web-01 ", None),
        ("", None),
    ] {
        assert_eq!(
            header_host(header.as_bytes()),
            host.map(str::as_bytes),
            "{header}"
        );
    }
}

#[test]
fn ids_have_laurels_form() {
    for id in [
        "1.000:1",
        "1700000000.123:4711",
        "0.999:18446744073709551616",
    ] {
        assert!(is_id(id.as_bytes()), "{id}");
    }
    let wrong = [
        "",
        "1",
        "1.00:1",
        "1.0000:1",
        ".000:1",
        "1.000:",
        "1.000",
        "1,000:1",
        "1.000:1 ",
        " 1.000:1",
        "1.000:x",
        "-1.000:1",
        "1.0a0:1",
        "1.000.1",
        "1.000:1:1",
    ];
    for id in wrong {
        assert!(!is_id(id.as_bytes()), "{id}");
        let line = json!({"ID": id, "CWD": {"cwd": "/"}}).to_string();
        assert_eq!(open(&line), Err(Fault::BadId));
        assert_eq!(
            open(&json!({"message": line}).to_string()),
            Err(Fault::BadId)
        );
    }
    assert_eq!(open(r#"{"ID":1700000000.123}"#), Err(Fault::BadId));
}

#[test]
fn what_is_no_event_says_why() {
    let vector = |message: &str| json!({"host": "h", "message": message}).to_string();
    let (cut, _) = EVENT.split_at(60);
    let short = Profile {
        limits: crate::Limits {
            line_bytes: 100,
            ..Profile::laurel().limits
        },
        ..Profile::laurel()
    };
    assert_eq!(
        open_with(EVENT, &short, &Origin::default()).unwrap_err(),
        Fault::Oversize
    );
    for (line, fault) in [
        (String::new(), Fault::InvalidJson),
        ("   ".into(), Fault::InvalidJson),
        ("\0".into(), Fault::InvalidJson),
        (
            "Nov 24 08:35:15 web-01 cron[7]: started".into(),
            Fault::InvalidJson,
        ),
        ("[1]".into(), Fault::InvalidJson),
        ("{".into(), Fault::Truncated),
        (cut.into(), Fault::Truncated),
        (format!("@cee: {cut}"), Fault::Truncated),
        (vector(cut), Fault::Truncated),
        (vector(EVENT).replace('}', ""), Fault::Truncated),
        ("{}".into(), Fault::NoEvent),
        (r#"{"SYSCALL":{"exe":"/bin/sh"}}"#.into(), Fault::NoEvent),
        (vector("started"), Fault::NoEvent),
        (vector("started {pid}"), Fault::NoEvent),
        (vector(r#"{"a":1}"#), Fault::NoEvent),
        (vector(r#"{"a":01}"#), Fault::InvalidJson),
        (format!("{EVENT}{EVENT}"), Fault::TrailingData),
        (vector(&format!("{EVENT} {EVENT}")), Fault::TrailingData),
        (format!("[{EVENT}]"), Fault::TrailingData),
    ] {
        assert_eq!(open(&line), Err(fault), "{line}");
    }
}

#[test]
fn a_line_as_long_as_the_limit_is_opened() {
    let limit = EVENT.len();
    let exact = Profile {
        limits: crate::Limits {
            line_bytes: limit,
            ..Profile::laurel().limits
        },
        ..Profile::laurel()
    };
    let mut opener = Opener::default();
    assert!(
        opener
            .open(
                EVENT.as_bytes(),
                &Fields::default(),
                &exact,
                &Origin::default()
            )
            .is_ok()
    );
    assert_eq!(
        opener
            .open(
                format!("{EVENT}\n").as_bytes(),
                &Fields::default(),
                &exact,
                &Origin::default()
            )
            .unwrap_err(),
        Fault::Oversize
    );
}

/// Lines in the envelopes above, around each other.
fn any_line() -> impl Strategy<Value = String> {
    let wrap = |line: String, shipper: u8| match shipper {
        0 => format!("@cee: {line}"),
        1 => json!({"host": "h", "message": line}).to_string(),
        2 => format!(r#"{{"agent":{{"name":"a"}},"laurel": {line} }}"#),
        3 => format!("<13>Nov 24 08:35:15 web-01 laurel: {line}\n"),
        4 => json!({"event": {"original": line}}).to_string(),
        _ => line,
    };
    let event = prop::sample::select(lines()).prop_map(str::to_owned);
    (event, 0..6_u8, 0..6_u8).prop_map(move |(event, inner, outer)| wrap(wrap(event, inner), outer))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_line_is_opened_whole_or_refused(line in any_line(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        opened_is_whole(line.as_bytes());
        let mut damaged = line.into_bytes();
        let at = at.index(damaged.len());
        opened_is_whole(&damaged[..at]);
        damaged[at] = byte;
        opened_is_whole(&damaged);
    }
}
