//! An event that matches nothing costs no allocation. In a binary of its own, because it counts all of the process.
#![cfg(test)]

use std::sync::Arc;

use detect::{Clocks, Detector, Line, Plan, Source};
use event::{Origin, ProcessCache, Profile};
use sigma::SourceFile;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// One rule for each way to find candidates, and one that has none.
const RULES: &str = r"
title: By every operator
logsource: {product: linux, category: process_creation}
detection:
  one: {Image|endswith: /nosuch, CommandLine|contains|all: [no, such]}
  two: {CommandLine|startswith: nosuch}
  three: {User: nobody-at-all}
  four: {CommandLine|re: 'wget\s+http.*nosuch'}
  condition: 1 of one or two or three or four
---
title: Without a witness
logsource: {product: linux, category: process_creation}
detection:
  selection: {CommandLine|re: '[xyz]{12}'}
  condition: selection
---
title: A candidate that fails
logsource: {product: linux, service: auditd}
detection:
  selection: {type: EXECVE, a0|endswith: sh}
  filter: {a1: '-c'}
  condition: selection and not filter
---
title: Elements
logsource: {product: linux, service: laurel}
detection:
  selection: {PATH.nametype: NORMAL, PATH.name|startswith: /nosuch/}
  condition: selection
";

/// An exec with a percent code and a letter beyond ASCII.
const LINE: &str = r#"{"ID":"1700000000.123:4711","NODE":"web-01","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"ppid":900,"pid":912,"uid":33,"comm":"sh","exe":"/usr/bin/dash","ARGV":["0x1","0x2"],"SYSCALL":"execve","UID":"www-data","PID":{"EVENT_ID":"1700000000.123:4711"},"PPID":{"EVENT_ID":"1700000000.100:1"}},"EXECVE":{"argc":3,"ARGV":["/bin/sh","-c","date %2b%25s É"]},"CWD":{"cwd":"/srv"},"PATH":[{"item":0,"name":"/bin/sh","nametype":"NORMAL"},{"item":1,"name":"lib","nametype":"NORMAL"}]}"#;

#[test]
fn an_event_that_matches_nothing_allocates_nothing() {
    let file = SourceFile {
        name: "rules.yml".into(),
        text: RULES.into(),
    };
    let loaded = sigma::load(&[file]);
    let compiled = Plan::compile(loaded.rules);
    assert_eq!(
        compiled.plan.rules().len(),
        4,
        "{:?} {:?}",
        loaded.diagnostics,
        compiled.not_running
    );
    // Every event is measured too.
    let clocks = Clocks {
        time: || 0,
        processor: || 0,
    };
    let mut detector =
        Detector::new(Arc::new(compiled.plan), Arc::new(Profile::laurel())).with_clocks(clocks, 1);
    let mut cache = ProcessCache::new(1 << 20, 3_600_000);
    let source = Source::File { file: "-", line: 1 };
    let line = Line {
        bytes: LINE.as_bytes(),
        origin: Origin::default(),
        source,
    };
    let mut alerts = Vec::new();
    let mut pass = || detector.run(&line, &mut cache, &mut alerts).unwrap();
    // Scratch memory and the caches of regular expressions grow once.
    for _ in 0..3 {
        pass();
    }
    let profiler = dhat::Profiler::builder().testing().build();
    for _ in 0..100 {
        pass();
    }
    assert_eq!(dhat::HeapStats::get().total_blocks, 0);
    drop(profiler);
    assert!(alerts.is_empty());
    assert_eq!(detector.take_counts().shared.sampled, 103);
}
