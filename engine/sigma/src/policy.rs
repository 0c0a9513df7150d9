//! The policy: what Pythia does on each point that the Sigma specification leaves open. Read from `policy.yml`, the
//! one source for the command, the documentation and the tests.

use crate::SourceFile;
use crate::yaml::{self, Kind, Node};

/// What Pythia does on an open point of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPoint {
    /// Stable id, such as `M5b`: `M` for matching, `T` for the timing of correlations, `F` for filters.
    pub id: String,
    /// What is open, one line of Markdown.
    pub point: String,
    /// What Pythia does, one line of Markdown.
    pub pythia: String,
    /// Cases of public test suites that depend on the point and on which engines differ.
    pub disputed: u32,
}

/// All points, in the order of the documentation.
///
/// ```
/// let policy = sigma::policy();
/// assert!(policy.iter().any(|point| point.id == "M5b"));
/// ```
pub fn policy() -> Vec<PolicyPoint> {
    let file = SourceFile {
        name: "policy.yml".into(),
        text: include_str!("../policy.yml").into(),
    };
    let documents = yaml::read(&file);
    let root = documents
        .first()
        .and_then(|document| document.root.as_ref());
    let Some(Kind::Sequence(points)) = root.map(|root| &root.kind) else {
        unreachable!("policy.yml is a list")
    };
    points.iter().map(point).collect()
}

fn point(node: &Node) -> PolicyPoint {
    let line = |key| {
        let text = node.get(key).and_then(Node::as_str);
        text.expect("every point has the three lines").to_string()
    };
    let disputed = node.get("disputed").map(Node::to_json);
    PolicyPoint {
        id: line("id"),
        point: line("point"),
        pythia: line("pythia"),
        disputed: disputed.map_or(0, |number| number.parse().expect("`disputed` is a number")),
    }
}
