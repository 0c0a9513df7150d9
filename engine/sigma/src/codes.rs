//! The table of diagnostic codes: every fault that loading can report, with its stable code. A code is
//! never given another meaning; a retired one is not used again.

use crate::{Diagnostic, Place, Severity};

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable code, such as `R012`.
    pub code: &'static str,
    /// Short name, such as `duplicate-key`.
    pub name: &'static str,
    /// Whether the document is kept from running.
    pub severity: Severity,
    /// One line for documentation.
    pub explanation: &'static str,
}

impl Code {
    /// A diagnostic with this code; label and help are added by the caller.
    pub(crate) fn at(&self, place: &Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code: self.code,
            severity: self.severity,
            place: place.clone(),
            message: message.into(),
            label: None,
            help: None,
            rule: None,
        }
    }
}

macro_rules! codes {
    ($($constant:ident $code:literal $severity:ident $name:literal $explanation:literal;)*) => {
        $(pub(crate) const $constant: Code = Code {
            code: $code,
            name: $name,
            severity: Severity::$severity,
            explanation: $explanation,
        };)*

        /// Every code that loading can report, in the order of the codes.
        pub static CODES: &[Code] = &[$($constant),*];
    };
}

codes! {
    YAML_SYNTAX "R001" Error "yaml-syntax" "The document is not YAML 1.2";
    LIMIT "R002" Error "limit" "A file or document exceeds a size limit of the loader";
    DUPLICATE_KEY "R003" Error "duplicate-key" "A map has the same key twice; one of the two would be lost";
    YAML_TAG "R004" Error "yaml-tag" "A YAML tag outside the core schema, or one that its value does not fit";
    NOT_A_MAP "R005" Error "not-a-map" "A document of a rule file is not a map of attributes";
    MORE_FAULTS "R006" Warning "more-faults" "A document has more faults than are listed";

    MISSING_ATTRIBUTE "R010" Error "missing-attribute" "A rule lacks an attribute that Sigma demands";
    WRONG_TYPE "R011" Error "wrong-type" "An attribute that a rule cannot do without has the wrong type";
    METADATA "R012" Warning "metadata" "A describing attribute is malformed; the rule runs without it";
    ATTRIBUTE_NAME "R013" Warning "attribute-name" "A custom attribute looks like a misspelt attribute of Sigma";
    DUPLICATE_ID "R014" Error "duplicate-id" "An earlier document has the same id";
    DUPLICATE_NAME "R015" Error "duplicate-name" "An earlier document has the same name";
    NOT_SUPPORTED "R016" Error "not-supported" "A kind of document that is not evaluated yet";
    ACTION "R017" Error "action" "An `action` that Sigma does not know, or a `repeat` without a rule before it";
    GLOBAL_CLASH "R018" Warning "global-clash" "A rule sets a value that a global document sets too; the global value wins";
    SIGMA_VERSION "R019" Error "sigma-version" "The document is written for a newer or unknown version of Sigma";
    TAXONOMY "R020" Error "taxonomy" "The rule's fields follow a taxonomy that is not mapped";
    LOG_SOURCE "R021" Error "log-source" "The log source is empty or malformed";
    LOG_SOURCE_SPELLING "R022" Warning "log-source-spelling" "A log source value is not spelt as Sigma demands";
    DATE_SLASHES "R023" Warning "date-slashes" "A date is written with slashes";
    SAME_KEY "R024" Warning "same-key" "Two rules without id or name are known by the same title";

    NO_SELECTION "R030" Error "no-selection" "The detection has no search identifier";
    EMPTY_SELECTION "R031" Error "empty-selection" "A search identifier holds nothing to look for";
    EMPTY_VALUES "R032" Error "empty-values" "A field has an empty list of values";
    VALUE_SHAPE "R033" Error "value-shape" "A list or map stands where a single value is expected";
    UNKNOWN_MODIFIER "R034" Error "unknown-modifier" "A field name carries a modifier that Sigma does not know";
    MODIFIER_CHAIN "R035" Error "modifier-chain" "Modifiers that do not go together, or in this order";
    MODIFIER_VALUE "R036" Error "modifier-value" "A value of a kind that the modifier cannot take";
    REGEX "R037" Error "regex" "A regular expression that does not parse";
    REGEX_CONSTRUCT "R038" Error "regex-construct" "A regular expression uses a construct outside the dialect";
    CIDR "R039" Error "cidr" "Not a network in CIDR notation";
    PLACEHOLDER "R040" Error "placeholder" "A placeholder has no source of values";
    NULL_IN_LIST "R041" Warning "null-in-list" "`null` stands in a list of values, which Sigma forbids";
    ALL_WITH_ONE_VALUE "R042" Warning "all-with-one-value" "`all` with a single value changes nothing";
    NUMBER_AS_TEXT "R043" Warning "number-as-text" "A text modifier is applied to a number; it is compared by its text";
    NUMBER_RADIX "R044" Warning "number-radix" "An unquoted hexadecimal or octal number is its decimal value";
    TIMEFRAME "R045" Warning "timeframe" "`timeframe` has no meaning in Sigma 2 and is not a search identifier";
    ARRAY_SYNTAX "R046" Warning "array-syntax" "Array matching begins with Sigma 3; the bracket is part of the name";

    CONDITION_MISSING "R050" Error "condition-missing" "The detection has no condition";
    CONDITION_SYNTAX "R051" Error "condition-syntax" "The condition does not parse";
    UNKNOWN_SELECTION "R052" Error "unknown-selection" "The condition names a selection that does not exist";
    EMPTY_SELECTOR "R053" Error "empty-selector" "A pattern of the condition matches no selection";
    CONDITION_CASE "R054" Error "condition-case" "Operators of a condition are written in lower case";
    CONDITION_COUNT "R055" Error "condition-count" "Only `1 of`, `any of` and `all of` exist";
    CONDITION_AGGREGATION "R056" Error "condition-aggregation" "Aggregations after a pipe were removed from Sigma";
    UNUSED_SELECTION "R057" Warning "unused-selection" "A selection that the condition never looks at";
}
