//! `pythia topics create`: the topics that the service writes.

use anyhow::Result;
use console::printing::{Output, err, escaped, out, out_json, table};
use serde_json::{Value, json};
use stream::admin::{Asked, Outcome, Shape, Wishes, create_topics};
use stream::{Connection, Input};

use crate::args::{Common, Topics, TopicsCreate};
use crate::config::count;
use crate::{Exit, Failure, run};

/// Partitions of a new topic.
const PARTITIONS: i32 = 6;

pub(crate) fn run(common: &Common, topics: &Topics) -> Result<Exit> {
    let Topics::Create(create) = topics;
    if let (Some(replicas), Some(needed)) = (create.replication_factor, create.min_insync_replicas)
        && needed > replicas
    {
        let why = format!(
            "with {} nothing could ever be written",
            count(replicas, "replica")
        );
        let mistake = format!("--min-insync-replicas {needed}: {why}");
        return Err(Failure::Usage(mistake).into());
    }
    let config = run::settings(common, &create.kafka)?;
    let options = run::options(&config);
    if let (true, Input::Pattern(pattern)) = (create.with_input, &options.input) {
        let mistake = format!("--with-input: {pattern} names no topic that could be made");
        return Err(Failure::Usage(mistake).into());
    }
    let wishes = wishes(create, config.size("limits.line_bytes") as u64);
    let connection = Connection::new(&options, create.timeout).map_err(run::operator_error)?;
    let outcomes = create_topics(&connection, &options, &wishes, create.dry_run)
        .map_err(run::operator_error)?;
    match common.output() {
        Output::Table => out(&text(&outcomes))?,
        Output::Json => out_json(&format!(
            "{}\n",
            serde_json::to_string_pretty(&json(&outcomes))?
        ))?,
        Output::Jsonl => out_json(&format!("{}\n", json(&outcomes)))?,
    };
    let mut refused = Vec::new();
    let mut differs = false;
    for (shape, outcome) in &outcomes {
        match outcome {
            Outcome::Refused(reason) => refused.push(format!("{}: {reason}", shape.topic)),
            Outcome::Exists(differences) => differs |= !differences.is_empty(),
            Outcome::Unknown => differs = true,
            Outcome::Created | Outcome::WouldCreate => {}
        }
    }
    if !refused.is_empty() {
        anyhow::bail!("not every topic can be made\n{}", refused.join("\n"));
    }
    if differs && !common.quiet {
        err("topics that exist are not changed\n");
    }
    Ok(if differs { Exit::Findings } else { Exit::Ok })
}

fn wishes(create: &TopicsCreate, line_bytes: u64) -> Wishes {
    Wishes {
        partitions: Asked {
            value: create.partitions.unwrap_or(PARTITIONS),
            by_name: create.partitions.is_some(),
        },
        replication: create.replication_factor,
        min_insync: create.min_insync_replicas,
        retention: create.retention,
        with_input: create.with_input,
        line_bytes,
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Created => "created",
        Outcome::WouldCreate => "would be created",
        Outcome::Exists(differences) if differences.is_empty() => "exists",
        Outcome::Exists(_) => "exists and differs",
        Outcome::Unknown => "exists, not compared",
        Outcome::Refused(_) => "refused",
    }
}

fn text(outcomes: &[(Shape, Outcome)]) -> String {
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|(shape, outcome)| {
            let settings: Vec<String> = shape
                .settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            vec![
                shape.topic.clone(),
                word(outcome).to_owned(),
                shape.partitions.to_string(),
                shape
                    .replication
                    .map_or_else(|| "default".to_owned(), |n| n.to_string()),
                settings.join(" "),
            ]
        })
        .collect();
    let header = ["topic", "outcome", "partitions", "replicas", "settings"];
    let mut text = table(&header, &rows);
    for (shape, outcome) in outcomes {
        let topic = escaped(&shape.topic);
        match outcome {
            Outcome::Exists(differences) => {
                for difference in differences {
                    let (is, wanted) = (escaped(&difference.is), escaped(&difference.wanted));
                    let setting = difference.setting;
                    text += &format!("{topic}: {setting} is {is}, asked for was {wanted}\n");
                }
            }
            Outcome::Unknown => {
                text += &format!("{topic}: its settings may not be read: allow DescribeConfigs\n");
            }
            _ => {}
        }
    }
    text
}

fn json(outcomes: &[(Shape, Outcome)]) -> Value {
    let topics = outcomes.iter().map(|(shape, outcome)| {
        let settings: serde_json::Map<String, Value> = shape
            .settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
            .collect();
        let mut topic = json!({
            "topic": shape.topic, "outcome": word(outcome), "partitions": shape.partitions,
            "replicas": shape.replication, "settings": settings,
        });
        match outcome {
            Outcome::Exists(differences) => {
                let differences = differences.iter().map(|difference| {
                    json!({
                        "setting": difference.setting, "is": difference.is,
                        "wanted": difference.wanted,
                    })
                });
                topic["differences"] = differences.collect::<Vec<_>>().into();
            }
            Outcome::Refused(reason) => {
                topic["reason"] = reason.clone().into();
            }
            Outcome::Created | Outcome::WouldCreate | Outcome::Unknown => {}
        }
        topic
    });
    json!({ "topics": topics.collect::<Vec<_>>() })
}
