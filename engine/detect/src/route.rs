//! Log source to views: which virtual events of Laurel's feed a rule, or why none does.

use event::ViewKind;
use sigma::{LogSource, Place, did_you_mean};

/// Categories that a view feeds, for product linux and for rules of any product.
const CATEGORIES: [(&str, ViewKind); 5] = [
    ("process_creation", ViewKind::ProcessCreation),
    ("file_event", ViewKind::FileEvent),
    ("file_delete", ViewKind::FileDelete),
    ("file_rename", ViewKind::FileRename),
    ("network_connection", ViewKind::NetworkConnection),
];

/// Services that a view feeds.
const SERVICES: [(&str, ViewKind); 2] =
    [("auditd", ViewKind::Record), ("laurel", ViewKind::Native)];

/// The view that feeds rules of this log source, or the reason why none does.
///
/// A category without a product means that category on every product (Sigma, "Log Source": generic log
/// sources), so on Linux too. The same for `service: laurel`, which exists nowhere else; `auditd` alone
/// is Linux as well.
pub(crate) fn route(source: &LogSource) -> Result<ViewKind, String> {
    let LogSource {
        category,
        product,
        service,
        definition: _,
        custom: _,
        places: _,
    } = source;
    let (category, product, service) =
        (category.as_deref(), product.as_deref(), service.as_deref());
    if !matches!(product, None | Some("linux")) {
        return Err(format!(
            "no view feeds {}: the events come from Linux hosts",
            describe(source)
        ));
    }
    let found = match (category, service) {
        (Some(category), None) => named(&CATEGORIES, category),
        (None, Some(service)) => named(&SERVICES, service),
        (Some(_), Some(_)) => None,
        (None, None) => {
            return Err(format!(
                "no view feeds {}: without category and service it means the text of syslog lines, which audit events are not",
                describe(source)
            ));
        }
    };
    found.ok_or_else(|| {
        format!(
            "no view feeds {}: audit events do not hold it",
            describe(source)
        )
    })
}

/// A value of a log source that is nearly one that views feed: the value, where it stands, and what was meant. Other
/// products have categories and services of their own.
pub(crate) fn misspelt(source: &LogSource) -> Option<(&str, Option<&Place>, String)> {
    let nearly = |value: &'_ Option<String>, known: &[&str]| {
        did_you_mean(value.as_deref()?, known.iter().copied())
    };
    let names = |table: &[(&'static str, ViewKind)]| -> Vec<&str> {
        table.iter().map(|row| row.0).collect()
    };
    let [category_at, product_at, service_at] = &source.places;
    let is_other = !matches!(source.product.as_deref(), None | Some("linux"));
    let (value, place, meant) = if is_other {
        (
            &source.product,
            product_at,
            nearly(&source.product, &["linux"])?,
        )
    } else if let Some(meant) = nearly(&source.category, &names(&CATEGORIES)) {
        (&source.category, category_at, meant)
    } else {
        (
            &source.service,
            service_at,
            nearly(&source.service, &names(&SERVICES))?,
        )
    };
    Some((value.as_deref()?, place.as_ref(), meant))
}

fn named(table: &[(&str, ViewKind)], name: &str) -> Option<ViewKind> {
    table.iter().find(|row| row.0 == name).map(|row| row.1)
}

/// `product linux, service sshd`
fn describe(source: &LogSource) -> String {
    let parts = [
        ("product", &source.product),
        ("category", &source.category),
        ("service", &source.service),
    ];
    let named: Vec<String> = parts
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key} {value}")))
        .collect();
    if named.is_empty() {
        "an empty log source".into()
    } else {
        named.join(", ")
    }
}

/// The view's name as rule authors know it.
pub fn view_name(kind: ViewKind) -> &'static str {
    match kind {
        ViewKind::ProcessCreation => "process_creation",
        ViewKind::FileEvent => "file_event",
        ViewKind::FileDelete => "file_delete",
        ViewKind::FileRename => "file_rename",
        ViewKind::NetworkConnection => "network_connection",
        ViewKind::Record => "auditd",
        ViewKind::Native => "laurel",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(category: &str, product: &str, service: &str) -> LogSource {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LogSource {
            category: some(category),
            product: some(product),
            service: some(service),
            ..LogSource::default()
        }
    }

    #[test]
    fn log_sources_reach_their_views() {
        for (category, product, service, view) in [
            ("process_creation", "linux", "", ViewKind::ProcessCreation),
            ("process_creation", "", "", ViewKind::ProcessCreation),
            ("file_rename", "linux", "", ViewKind::FileRename),
            ("", "linux", "auditd", ViewKind::Record),
            ("", "linux", "laurel", ViewKind::Native),
            ("", "", "laurel", ViewKind::Native),
        ] {
            assert_eq!(route(&source(category, product, service)), Ok(view));
        }
    }

    #[test]
    fn what_no_view_feeds_says_why() {
        for (category, product, service, named) in [
            (
                "process_creation",
                "windows",
                "",
                "product windows, category process_creation",
            ),
            ("", "linux", "sshd", "product linux, service sshd"),
            (
                "",
                "linux",
                "",
                "product linux: without category and service",
            ),
            (
                "process_creation",
                "linux",
                "auditd",
                "category process_creation, service auditd",
            ),
            ("webserver", "", "", "category webserver"),
            ("", "", "", "an empty log source"),
        ] {
            let reason = route(&source(category, product, service)).unwrap_err();
            assert!(reason.contains(named), "{reason}");
        }
    }

    #[test]
    fn misspelt_log_sources_are_told_what_was_meant() {
        for (category, product, service, meant) in [
            ("proces_creation", "linux", "", Some("process_creation")),
            ("", "linux", "audit", Some("auditd")),
            ("process_creation", "linus", "", Some("linux")),
            ("dns_query", "linux", "", None),
            ("", "linux", "sshd", None),
            ("process_creation", "macos", "", None),
            ("", "github", "audit", None),
            ("proces_creation", "windows", "", None),
        ] {
            let source = source(category, product, service);
            assert!(route(&source).is_err());
            let told = misspelt(&source).map(|(_, _, told)| told);
            assert_eq!(told, meant.map(|meant| format!("did you mean `{meant}`?")));
        }
    }
}
