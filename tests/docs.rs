//! The documents tell the truth: their console blocks run against the built program, the rule that the
//! README shows is the rule that ships, and the files for Docker name only what exists.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use detect::view_name;
use event::{ViewKind, known_fields};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Fenced blocks of a Markdown text in this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == fence {
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "```")
                .collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

fn shell(command: &str) -> Output {
    shell_in(root(), command)
}

fn shell_in(folder: &Path, command: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_pythia"));
    let programs = program
        .parent()
        .expect("the program lies in a folder")
        .display()
        .to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", path)
        .env("NO_COLOR", "1");
    shell.output().expect("sh runs")
}

/// The commands of a `console` block, each with the lines below it. A line that begins with `> ` goes on with the command.
fn commands_of(block: &str) -> Vec<(String, Vec<&str>)> {
    let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((command, expected))) => match line.strip_prefix("> ") {
                Some(more) if expected.is_empty() => *command += &format!("\n{more}"),
                _ => expected.push(line),
            },
            (None, None) => panic!("`{line}` stands before any command"),
        }
    }
    commands
}

/// Every `$ command` of a `console` block runs in this folder and prints the lines below it; `...` stands for any lines.
fn run_console_blocks(name: &str, folder: &Path) -> usize {
    let mut commands = 0;
    for block in blocks(&read(name), "console") {
        for (command, expected) in commands_of(&block) {
            let output = shell_in(folder, &command);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{name}: `{command}` ended with {}:\n{printed}",
                output.status
            );
            let mut rest = printed.lines();
            for line in expected
                .into_iter()
                .filter(|line| !line.trim().is_empty() && line.trim() != "...")
            {
                assert!(
                    rest.any(|l| l.trim_end() == line.trim_end()),
                    "{name}: `{command}` does not print `{line}` there:\n{printed}"
                );
            }
            commands += 1;
        }
    }
    commands
}

#[test]
fn console_blocks_of_the_readme_run() {
    assert!(run_console_blocks("README.md", root()) > 2);
}

/// A folder with what the pages for authors begin with: a recording, and two captured events, a shell handed out by ncat
/// and a port that nc looks at.
fn recorded() -> tempfile::TempDir {
    let fleet = fs::read(root().join("tests/data/fleet.jsonl.zst")).expect("a recording");
    let fleet = zstd::decode_all(&fleet[..]).expect("zstd");
    let fleet = String::from_utf8(fleet).expect("UTF-8");
    let starts = |program: &str| {
        let mut lines = fleet.lines();
        let found = lines.find(|line| line.contains(&format!("\"EXECVE\":{{{program}")));
        found.expect("it was recorded").to_owned() + "\n"
    };
    let ncat = starts(r#""argc":5,"ARGV":["ncat""#);
    let nc = starts(r#""argc":4,"ARGV":["nc","-z""#);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("audit.log", &fleet),
        ("captured.jsonl", &ncat),
        ("near-miss.jsonl", &nc),
    ] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

#[test]
fn console_blocks_of_the_pages_for_authors_run() {
    for (page, commands) in [
        ("docs/first-rule.md", 10),
        ("docs/testing-rules.md", 5),
        ("docs/explain.md", 4),
    ] {
        let folder = recorded();
        assert!(
            run_console_blocks(page, folder.path()) >= commands,
            "{page}"
        );
    }
}

/// `docs/policy.md`, from the table that `pythia policy` prints.
fn policy_page() -> String {
    let mut page = String::from(POLICY_HEAD);
    for point in sigma::policy() {
        let sigma::PolicyPoint {
            id,
            point,
            pythia,
            disputed,
        } = point;
        let disputed = if disputed == 0 {
            String::new()
        } else {
            disputed.to_string()
        };
        page += &format!("| {id} | {point} | {pythia} | {disputed} |\n");
    }
    page
}

const POLICY_HEAD: &str = "# What Pythia does where the Sigma specification is silent

The specification leaves points open, and engines read some of its sentences differently. Each such point has an id, one answer, and
cases in `tests/data/semantics` that hold it: `M` for matching, `T` for the timing of correlations, `F` for filters. An error keeps a rule from running; a
warning does not, unless `pythia check --strict` is asked for.

\"Disputed\" counts the cases of public test suites of Sigma engines whose outcome depends on the point, and on which those engines differ.

The program prints the same table; `--output json` gives it to other programs.

```console
$ pythia policy --output table
...
```

| id | open point | what Pythia does | disputed |
|---|---|---|---|
";

#[test]
fn the_policy_page_is_up_to_date() {
    expect_test::expect_file!["../docs/policy.md"].assert_eq(&policy_page());
    assert_eq!(run_console_blocks("docs/policy.md", root()), 1);
}

/// `docs/fields.md`, from the table that `pythia fields` prints.
fn fields_page() -> String {
    let mut page = String::from(FIELDS_HEAD);
    let printed: Vec<String> = ViewKind::ALL
        .into_iter()
        .map(|kind| {
            let output = shell(&format!("pythia fields {} --output table", view_name(kind)));
            String::from_utf8(output.stdout).expect("UTF-8")
        })
        .collect();
    page += "| log source | what a view is |\n|---|---|\n";
    for text in &printed {
        let first = text.lines().next().expect("a title");
        let (source, sees) = first.split_once(": ").expect("key and value");
        let (name, sees) = sees.split_once(": ").expect("name and text");
        page += &format!("| `{source}: {name}` | {sees} |\n");
    }
    for kind in ViewKind::ALL {
        if matches!(kind, ViewKind::Record | ViewKind::Native) {
            continue;
        }
        page += &format!("\n## {}\n\n", view_name(kind));
        page += "| field | from | what becomes of it | example |\n|---|---|---|---|\n";
        for field in known_fields(kind) {
            let cells = [&*field.name, &*field.source, field.note, field.example];
            let [name, from, note, example] = cells.map(|cell| cell.replace('|', "\\|"));
            page += &format!("| `{name}` | {from} | {note} | `{example}` |\n");
        }
    }
    page + FIELDS_END
}

const FIELDS_HEAD: &str = "# Log sources, views and fields

A rule's log source (`product: linux` and a category or a service; the product may be left out) decides which *views* of an event it sees. One line of Laurel gives
several views: a program that starts is one of `process_creation`, one of `auditd` for each of its records, and one of `laurel`. A rule is evaluated on each view of its
log source by itself, and alerts once for an event. Every other log source is listed as routed nowhere by `pythia check`.

This page is made from the table in the program. `pythia fields` prints it, of one log source or of all; `pythia explain RULE` shows those that a rule reads;
`pythia explain RULE EVENT` shows their values in an event. What hosts must record, so that a view has anything to see, is in [audit-rules.md](audit-rules.md).

- A field with several values (`Image`) meets what any of them meets. One that nothing feeds, or that the event lacks, is missing: no value of a rule is met by it but
  `null` and `exists: false`, and so `neq` and `not` hold.
- Names are as they stand here, case and all; values match in letters of either case.
- Values are normalised once: percent codes decoded, relative paths made absolute where the event says below what.

";

const FIELDS_END: &str = "
## auditd

One view for each record, and for each element of PATH and other arrays: `type` is the record's name, the fields are its own members. A rule that asks for members of two
records in one view never matches, and `check` says so. Any member may be asked for; those that Laurel and auditd are known to write:

```console
$ pythia fields auditd --output table | grep '^nametype'
nametype            PATH                        CREATE                          PATH.nametype                     NORMAL, PARENT, CREATE, DELETE or UNKNOWN
```

## laurel

One view for each event, under the paths that Laurel writes: `SYSCALL.exe`, `PATH.name`, `SYSCALL.LABELS`. Arrays of records are looked through, and the items of one map
that lie below one array hold on the same element: `PATH.name` and `PATH.nametype` below one selection are of one path.

```console
$ pythia fields laurel --output table | grep '^SYSCALL.LABELS'
SYSCALL.LABELS                    webapp                          SYSCALL.LABELS
```
";

#[test]
fn the_page_on_fields_is_up_to_date() {
    expect_test::expect_file!["../docs/fields.md"].assert_eq(&fields_page());
    assert_eq!(run_console_blocks("docs/fields.md", root()), 2);
}

#[test]
fn the_readme_shows_the_rule_that_ships() {
    let shown = blocks(&read("README.md"), "yaml");
    assert_eq!(
        shown.first().map(String::as_str),
        Some(read("rules/linux/reverse_shell/perl.yml").trim_end())
    );
}

/// Pieces of code in a Markdown text that begin so, up to the first character that no name has.
fn names(text: &str, begin: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    let codes = text.split('`').skip(1).step_by(2);
    let words = codes.flat_map(|code| code.split(|c| !is_of_name(c)));
    let found = words.filter(|word| word.starts_with(begin));
    found.map(str::to_owned).collect()
}

#[test]
fn the_operators_page_names_metrics_and_settings_that_exist() {
    let page = read("docs/operating.md");
    let metrics = ["telemetry.rs", "rule_costs.rs"]
        .map(|file| read(&format!("engine/stream/src/{file}")))
        .concat();
    let named = names(&page, "pythia_");
    assert!(named.len() > 20, "{named:?}");
    // `pythia_rule_*` means all that begin so.
    for name in named.iter().filter(|name| !name.ends_with('_')) {
        assert!(metrics.contains(&format!("\"{name}\"")), "{name}");
    }
    let sections = [
        "kafka",
        "output",
        "rules",
        "engine",
        "process_cache",
        "limits",
        "http",
        "log",
    ];
    let example = shell("pythia config show --output json");
    let shown: Value = serde_json::from_slice(&example.stdout).expect("JSON");
    let known = |key: &str| {
        let mut settings = shown.as_array().expect("a list of settings").iter();
        settings.any(|setting| setting["key"] == key)
    };
    let maps = ["kafka.librdkafka", "kafka.consumer", "kafka.producer"];
    let mut settings = 0;
    for section in sections {
        for name in names(&page, &format!("{section}.")) {
            settings += 1;
            assert!(known(&name) || maps.contains(&name.as_str()), "{name}");
        }
    }
    assert!(settings > 15, "{settings}");
}

#[test]
fn compose_file_is_well_formed() {
    let output = Command::new("docker-compose")
        .args(["-f", "docker-compose.yml", "config", "-q"])
        .current_dir(root())
        .output();
    match output {
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(_) => assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "docker-compose is required under CI=true"
        ),
    }
}

/// Every setting and flag that the files for Docker use is accepted, and the topics that they create
/// are the ones that Pythia uses.
#[test]
fn compose_file_and_image_use_what_exists() {
    let compose = read("docker-compose.yml");
    let lines = compose.lines().map(str::trim);
    let settings: Vec<(&str, &str)> = lines
        .filter(|line| line.starts_with("PYTHIA__"))
        .filter_map(|line| line.split_once(": "))
        .collect();
    assert!(settings.len() >= 3, "{settings:?}");
    let mut show = Command::new(env!("CARGO_BIN_EXE_pythia"));
    let output = show
        .args(["config", "show", "--output", "json"])
        .envs(settings.clone())
        .output()
        .expect("pythia runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let effective = |key: &str| {
        let all = shown.as_array().expect("a list of settings");
        let setting = all
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap_or_else(|| panic!("no {key}: {shown}"));
        setting["value"].clone()
    };
    for (key, value) in &settings {
        let key = key
            .trim_start_matches("PYTHIA__")
            .to_lowercase()
            .replace("__", ".");
        let text = effective(&key).to_string();
        assert!(
            text.contains(value),
            "{key} is {text}, the compose file says {value}"
        );
    }
    let created: Vec<&str> = compose
        .split("--topic ")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next())
        .collect();
    let used = [
        effective("kafka.input"),
        effective("output.alerts"),
        effective("output.dead_letters"),
    ];
    let used: Vec<String> = used
        .iter()
        .map(|topic| topic.to_string().replace(['[', ']', '"'], ""))
        .collect();
    assert_eq!(created, used);
    let help = String::from_utf8(shell("pythia run --help").stdout).expect("UTF-8");
    assert!(
        compose.contains(r#"command: ["run", "--rules", "/etc/pythia/rules"]"#)
            && help.contains("--rules")
    );
    let image = read("Dockerfile");
    for copied in image.lines().filter(|line| {
        line.starts_with("COPY ") && !line.contains("--from") && !line.contains("COPY . .")
    }) {
        let source = copied.split(' ').nth(1).expect("COPY has a source");
        assert!(
            root().join(source).exists(),
            "the image copies {source}, which is not there"
        );
    }
}

/// Every text of the repository that holds Rust, for questions about what exists.
fn sources() -> Vec<(std::path::PathBuf, String)> {
    let mut open = vec![root().join("engine"), root().join("tests")];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    found
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_architecture_names_what_exists() {
    let page = read("ARCHITECTURE.md");
    let sources = sources();
    let is_file = |name: &str| {
        let name = Path::new(name);
        sources.iter().any(|(path, _)| path.ends_with(name))
    };
    for name in quoted(&page).filter(|name| Path::new(name).extension() == Some("rs".as_ref())) {
        assert!(is_file(name), "there is no {name}");
    }
    let mut stops = 0;
    let mut tests = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        match (&cells[..], cells[0].parse::<u32>()) {
            ([_, file, begin, _], Ok(_)) => {
                let text = read(file.trim_matches('`'));
                let begin = begin.trim_matches('`');
                let defined = text.contains(&format!("fn {begin}("))
                    || text.contains(&format!("fn {begin}<"));
                assert!(defined, "{file} has no function {begin}");
                stops += 1;
            }
            ([_, _, held], Ok(_)) => {
                for name in quoted(held).filter(|name| *name != "disallowed_methods") {
                    let function = format!("fn {}(", name.rsplit("::").next().unwrap_or(name));
                    let is_there = sources.iter().any(|(_, text)| text.contains(&function));
                    assert!(is_there, "there is no test {name}");
                    tests += 1;
                }
            }
            _ => {}
        }
    }
    assert!(stops == 10 && tests > 10, "{stops} stops, {tests} tests");
}

#[test]
fn the_unit_has_room_for_the_threads_that_it_sets() {
    let page = read("docs/operating.md");
    let (_, memory) = page.split_once("### Memory").expect("the section");
    let rows = memory.lines().filter(|line| line.starts_with("| "));
    let rows = rows.take_while(|line| !line.contains("setting"));
    let bound: u64 = rows
        .filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next())
        .filter_map(|defaults| defaults.split_once(" MiB")?.0.parse::<u64>().ok())
        .sum();
    assert!(page.contains(&format!("The sum, {bound} MiB with two threads,")));

    let unit = read("docs/pythia.service");
    let setting = |name: &str| {
        let value = unit.lines().find_map(|line| line.strip_prefix(name));
        value.expect(name).to_owned()
    };
    assert_eq!(setting("Environment=PYTHIA__ENGINE__THREADS="), "2");
    let max = setting("MemoryMax=");
    let max: u64 = max.trim_end_matches('M').parse().expect("MiB");
    assert!(bound < max, "{bound} MiB do not fit into {max}");
}

/// The documents on the page are one set of rules, without a remark.
#[test]
fn the_page_on_correlations_shows_what_loads() {
    let page = read("docs/correlations.md");
    let blocks = page.split("```yaml\n").skip(1);
    let documents: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(documents.len(), 2);
    let file = sigma::SourceFile {
        name: "correlations.yml".into(),
        text: documents.join("---\n").into(),
    };
    let loaded = sigma::load(&[file]);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    let counts = (
        loaded.rules.len(),
        loaded.correlations.len(),
        loaded.filters.len(),
    );
    assert_eq!(counts, (1, 1, 1));
    assert_eq!(
        (loaded.rules[0].filters.len(), loaded.rules[0].alerts),
        (1, false)
    );
}
