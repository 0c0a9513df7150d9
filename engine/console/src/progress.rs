//! A progress bar: only on a terminal, only for work of more than a second.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printing::escaped;

/// Shorter work shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Progress through some bytes.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    hidden: bool,
    what: String,
}

impl Progress {
    /// Of `total` bytes, `None` where that is not known. `quiet` hides it for good.
    pub fn bytes(total: Option<u64>, quiet: bool) -> Self {
        let template = "{msg} {bytes}/{total_bytes} {wide_bar} {bytes_per_sec} {eta}";
        let unknown = "{msg} {bytes} {bytes_per_sec} {elapsed}";
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() { template } else { unknown };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        Self {
            bar,
            started: Instant::now(),
            hidden: quiet || !io::stderr().is_terminal(),
            what: String::new(),
        }
    }

    /// What is worked on now; escaped here.
    pub fn on(&mut self, what: &str) {
        self.what = escaped(what);
        self.bar.set_message(self.what.clone());
    }

    /// Where it is, in bytes.
    pub fn at(&mut self, position: u64) {
        if self.hidden {
            return;
        }
        if self.bar.is_hidden() {
            if self.started.elapsed() < PATIENCE {
                return;
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.set_message(self.what.clone());
        }
        self.bar.set_position(position);
    }

    /// Runs something that prints, without the bar in its way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
