//! An alert for people: a few lines in the terminal, every text escaped.

use console::printing::{Paint, escaped, shortened};
use detect::Alert;

/// Longest value shown, in characters.
const VALUE: usize = 240;

/// Events of a correlation that are shown: the last ones.
const EVENTS: usize = 4;

/// The alert as a block of lines.
pub(crate) fn alert(alert: &Alert, paint: Paint) -> String {
    let text = |text: &str| shortened(&escaped(text), VALUE);
    let host = alert
        .host
        .as_deref()
        .map_or_else(|| "unknown host".to_owned(), text);
    let mut block = format!(
        "{} {} {} on {}\n",
        paint.faint(&alert.time),
        paint.level(alert.level),
        paint.bold(&text(alert.title())),
        paint.bold(&host)
    );
    if let Some(process) = &alert.process {
        let mut who = Vec::new();
        who.extend(
            process
                .user
                .as_deref()
                .map(|user| format!("user {}", text(user))),
        );
        who.extend(process.pid.map(|pid| format!("pid {pid}")));
        who.extend(process.exe.as_deref().map(text));
        if !process.labels.is_empty() {
            who.push(format!("labels {}", text(&process.labels.join(", "))));
        }
        if !who.is_empty() {
            block += &format!("  process  {}\n", who.join(", "));
        }
        if let Some(command) = &process.command_line {
            block += &format!("  command  {}\n", text(command));
        }
        if let Some(parent) = &process.parent {
            let says = [parent.exe.as_deref(), parent.command_line.as_deref()];
            let says: Vec<String> = says.into_iter().flatten().map(text).collect();
            if !says.is_empty() {
                block += &format!("  parent   {}\n", says.join(": "));
            }
        }
    }
    for found in alert
        .why
        .iter()
        .flat_map(|view| &view.selections)
        .flat_map(|s| &s.matches)
        .take(4)
    {
        let field = found
            .path
            .as_deref()
            .or(found.field.as_deref())
            .unwrap_or("text");
        block += &paint.faint(&format!(
            "  because  {} {}\n",
            text(field),
            text(&found.matcher)
        ));
    }
    if let Some(found) = &alert.correlation {
        let group = found.group.iter();
        let group: Vec<String> = group
            .map(|(name, value)| format!("{} {}", text(name), text(value)))
            .collect();
        let of = if group.is_empty() { "" } else { " of " };
        block += &format!(
            "  events   {}{of}{}, {} to {}\n",
            found.event_count,
            group.join(", "),
            found.from,
            found.to
        );
        let last = found.events.iter().rev().take(EVENTS).rev();
        for event in last {
            let summary = event.summary.as_deref().unwrap_or_default();
            block += &paint.faint(&format!(
                "           {} {}: {}\n",
                event.time,
                text(&event.title),
                text(summary)
            ));
        }
    }
    block
}
