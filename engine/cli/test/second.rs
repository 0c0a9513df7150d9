//! `--second-opinion`: what `sigma-rust` makes of the rules of a case, beside what the reference evaluator does. A difference
//! is a note to the author and no failure.
//!
//! `sigma-rust` is asked about each view that the rule's log source sees, as a flat event: [`detect::FlatView`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use console::printing::escaped;
use detect::Explainer;
use opinion::{Deviation, ENGINE, Second};
use serde_json::{Value, json};
use sigma::{Case, Place, Rule, SourceFile};

use super::events::each_line;
use super::{Mistake, Runner};
use crate::config::count;

/// What there is to say of one rule of a case.
pub(super) struct Said {
    /// Title of the rule or correlation.
    title: String,
    verdict: Verdict,
}

enum Verdict {
    /// A correlation: it knows none.
    Correlation,
    /// It cannot load the rule, or panics over an event, in these words; with the known deviation behind it.
    Refused(String, Option<&'static Deviation>),
    /// Whether the rule matches some view of the case, by us and by it.
    Judged {
        ours: bool,
        theirs: bool,
        /// What explains the views that were judged otherwise; empty where nothing known does.
        reasons: Vec<&'static Deviation>,
        /// How many views were judged otherwise.
        views: usize,
    },
}

/// The rules of one file as `sigma-rust` holds them, or why it does not: by the place of the rule.
#[derive(Default)]
pub(super) struct Seconds(BTreeMap<Place, Result<Second, String>>);

/// How many rules of cases came out how.
#[derive(Default)]
struct Totals {
    alike: usize,
    differ: usize,
    refused: usize,
    correlations: usize,
}

impl Seconds {
    /// A second opinion on these rules and this case; correlations are told to be beyond it.
    pub(super) fn ask(
        &mut self,
        runner: &Runner,
        (fixture, case): (&Path, &Case),
        rules: &[Arc<Rule>],
        correlations: &[String],
    ) -> Result<Vec<Said>, Mistake> {
        let beyond = correlations.iter().map(|title| Said {
            title: title.clone(),
            verdict: Verdict::Correlation,
        });
        let mut said: Vec<Said> = beyond.collect();
        for rule in rules {
            let text = text_of(rule, &runner.files);
            let place = rule.attributes.place.clone();
            let second = self.0.entry(place).or_insert_with(|| Second::load(text));
            let verdict = match second {
                Ok(second) => judge(runner, (fixture, case), rule, (second, text))?,
                Err(error) => refused(error.clone()),
            };
            let title = rule.attributes.title.clone();
            said.push(Said { title, verdict });
        }
        Ok(said)
    }
}

/// The document that the rule was read from.
fn text_of<'a>(rule: &Rule, files: &'a [SourceFile]) -> &'a str {
    let place = &rule.attributes.place;
    let file = files.iter().find(|file| file.name == place.file);
    file.map_or("", |file| opinion::document_at(&file.text, place.bytes.0))
}

fn refused(error: String) -> Verdict {
    let known = opinion::refusing(&error);
    Verdict::Refused(error, known)
}

fn judge(
    runner: &Runner,
    (fixture, case): (&Path, &Case),
    rule: &Arc<Rule>,
    (second, text): (&Second, &str),
) -> Result<Verdict, Mistake> {
    let (mut ours, mut theirs, mut views) = (false, false, 0);
    let mut reasons: Vec<&Deviation> = Vec::new();
    let mut panicked = None;
    let profile = Arc::clone(&runner.profile);
    let limit = profile.limits.line_bytes;
    if let Ok(mut explainer) = Explainer::new(Arc::clone(rule), profile) {
        let mut cache = runner.cache();
        each_line(case, fixture, limit, |line| {
            for view in explainer.flat_views(line, &mut cache)? {
                let holds = match second.matches(&view.fields) {
                    Ok(holds) => holds,
                    Err(told) => {
                        panicked = Some(told);
                        continue;
                    }
                };
                ours |= view.holds;
                theirs |= holds;
                if view.holds != holds {
                    views += 1;
                    let found = opinion::explaining(rule, text, &view.fields).into_iter();
                    for reason in found {
                        if reasons.iter().all(|known| known.id != reason.id) {
                            reasons.push(reason);
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(match panicked {
        Some(told) => refused(told),
        None => Verdict::Judged {
            ours,
            theirs,
            reasons,
            views,
        },
    })
}

impl Said {
    /// What is to be said of it to people, if the two engines do not read the rule alike. A deviation is told in full where
    /// it is not among those that were, by its name there.
    pub(super) fn note(&self, told: &mut BTreeSet<&'static str>) -> Option<String> {
        let mut text = String::new();
        let reasons = match &self.verdict {
            Verdict::Judged { views: 0, .. } => return None,
            Verdict::Correlation => {
                return Some(format!("{ENGINE} knows no correlations\n"));
            }
            Verdict::Refused(error, known) => {
                text += &format!("{ENGINE} cannot read the rule: {}\n", escaped(error));
                known.iter().copied().collect()
            }
            Verdict::Judged {
                ours,
                theirs,
                reasons,
                views,
            } => {
                let word = |matches: &bool| if *matches { "matches" } else { "stays silent" };
                let (ours, theirs) = (word(ours), word(theirs));
                text += &if ours == theirs {
                    let views = count(*views, "view");
                    format!("{ENGINE} {theirs} too, but judges {views} otherwise\n")
                } else {
                    format!("{ENGINE} {theirs}, Pythia {ours}\n")
                };
                reasons.clone()
            }
        };
        if reasons.is_empty() {
            text += "  no known deviation explains it: please report the rule and the event\n";
        }
        for reason in reasons {
            let Deviation {
                id,
                does,
                sigma,
                points,
                instead,
                ..
            } = reason;
            if !told.insert(id) {
                text += &format!("  {id}: see above\n");
                continue;
            }
            let points = match points {
                [] => String::new(),
                points => format!(" (policy {})", points.join(", ")),
            };
            text += &format!("  {id}: it {does}\n  Sigma: {sigma}{points}\n");
            text += &format!("  to be read alike: {instead}\n");
        }
        Some(text)
    }

    /// The rule or correlation.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Whether what it says is the same for every case of the rule.
    pub(super) fn is_of_rule(&self) -> bool {
        matches!(self.verdict, Verdict::Correlation | Verdict::Refused(..))
    }

    pub(super) fn json(&self) -> Value {
        let reason = |deviation: &&Deviation| {
            json!({
                "id": deviation.id,
                "does": deviation.does,
                "sigma": deviation.sigma,
                "policy": deviation.points,
                "instead": deviation.instead,
            })
        };
        let mut said = json!({"engine": ENGINE, "rule": self.title});
        match &self.verdict {
            Verdict::Correlation => said["state"] = "out_of_scope".into(),
            Verdict::Refused(error, known) => {
                said["state"] = "refused".into();
                said["error"] = error.as_str().into();
                said["reasons"] = known.iter().map(reason).collect();
            }
            Verdict::Judged {
                ours,
                theirs,
                reasons,
                views,
            } => {
                said["state"] = if *views == 0 { "alike" } else { "differs" }.into();
                said["matches"] = (*ours).into();
                said["second_matches"] = (*theirs).into();
                said["views_differing"] = (*views).into();
                said["reasons"] = reasons.iter().map(reason).collect();
            }
        }
        said
    }
}

/// `second opinion of sigma-rust 0.7: 3 alike, 1 differs, 0 it cannot read, 0 correlations`.
pub(super) fn summary<'a>(said: impl Iterator<Item = &'a Said>) -> String {
    let mut totals = Totals::default();
    for said in said {
        *match &said.verdict {
            Verdict::Correlation => &mut totals.correlations,
            Verdict::Refused(..) => &mut totals.refused,
            Verdict::Judged { views: 0, .. } => &mut totals.alike,
            Verdict::Judged { .. } => &mut totals.differ,
        } += 1;
    }
    let Totals {
        alike,
        differ,
        refused,
        correlations,
    } = totals;
    format!(
        "second opinion of {ENGINE}: {alike} read alike, {differ} otherwise, {refused} not at all, {} beyond it\n",
        count(correlations, "correlation"),
    )
}
