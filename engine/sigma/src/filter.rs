//! A Sigma filter after parsing, and its way into the rules that it applies to.
//!
//! SIGMA: sigma-filters-specification.md of 2.1.0; policy F1.

pub(crate) mod apply;
pub(crate) mod read;

use std::sync::Arc;

use crate::Attributes;

/// One filter.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What it says of itself.
    pub attributes: Attributes,
    /// Keys of the rules that it reaches, in their order; none: it is idle.
    pub reached: Vec<Arc<str>>,
}
