//! The table of diagnostic codes: every fault that loading can report, with its stable code. A code is
//! never given another meaning; a retired one is not used again. Retired: R016 (not-supported).

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

    MISSING_ATTRIBUTE "R010" Error "missing-attribute" "A document lacks an attribute that Sigma demands";
    WRONG_TYPE "R011" Error "wrong-type" "An attribute that a document cannot do without has the wrong type";
    METADATA "R012" Warning "metadata" "A describing attribute is malformed; the document is loaded without it";
    ATTRIBUTE_NAME "R013" Warning "attribute-name" "A custom attribute looks like a misspelt attribute of Sigma";
    DUPLICATE_ID "R014" Error "duplicate-id" "An earlier document has the same id";
    DUPLICATE_NAME "R015" Error "duplicate-name" "An earlier document has the same name";
    ACTION "R017" Error "action" "An `action` that Sigma does not know, or a `repeat` without a rule before it";
    GLOBAL_CLASH "R018" Warning "global-clash" "A rule sets a value that a global document sets too; the global value wins";
    SIGMA_VERSION "R019" Error "sigma-version" "The document is written for a newer or unknown version of Sigma";
    TAXONOMY "R020" Error "taxonomy" "The document's fields follow a taxonomy that is not mapped";
    LOG_SOURCE "R021" Error "log-source" "The log source is empty or malformed";
    LOG_SOURCE_SPELLING "R022" Warning "log-source-spelling" "A log source value is not spelt as Sigma demands";
    DATE_SLASHES "R023" Warning "date-slashes" "A date is written with slashes";
    SAME_KEY "R024" Warning "same-key" "Two documents without id or name are known by the same title";
    MIXED_DOCUMENT "R025" Error "mixed-document" "A document is more than one of rule, correlation and filter";
    REJECTED_REFERENCE "R026" Error "rejected-reference" "A correlation reads a document that was rejected";
    VERSION_MIX "R027" Warning "version-mix" "A correlation or filter and one of its rules are written for different versions of Sigma";
    NO_EFFECT "R028" Warning "no-effect" "A line that has no meaning where it stands";

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

    CONDITION_MISSING "R050" Error "condition-missing" "The detection or filter has no condition";
    CONDITION_SYNTAX "R051" Error "condition-syntax" "The condition does not parse";
    UNKNOWN_SELECTION "R052" Error "unknown-selection" "The condition names a selection that does not exist";
    EMPTY_SELECTOR "R053" Error "empty-selector" "A pattern of the condition matches no selection";
    CONDITION_CASE "R054" Error "condition-case" "Operators of a condition are written in lower case";
    CONDITION_COUNT "R055" Error "condition-count" "Only `1 of`, `any of` and `all of` exist";
    CONDITION_AGGREGATION "R056" Error "condition-aggregation" "Aggregations after a pipe were removed from Sigma";
    UNUSED_SELECTION "R057" Warning "unused-selection" "A selection that the condition never looks at";

    CORRELATION_TYPE "R060" Error "correlation-type" "A type of correlation that Sigma does not know";
    CORRELATION_KEY "R061" Warning "correlation-key" "A correlation has a line that Sigma does not know";
    TIMESPAN "R062" Error "timespan" "A timespan that is not a whole number with a unit";
    UNKNOWN_RULE "R063" Error "unknown-rule" "A correlation reads something that is no rule and no correlation";
    CIRCULAR "R064" Error "circular" "A correlation reads itself, directly or through others";
    SAME_RULE "R065" Warning "same-rule" "A correlation lists a rule twice";
    ALIAS_RULE "R066" Error "alias-rule" "An alias names a rule that the correlation does not list, or names it twice";
    UNUSED_ALIAS "R067" Warning "unused-alias" "An alias that `group-by` does not use";
    BOUND "R068" Error "bound" "The condition of a correlation has no operator, an unknown one, or no number behind it";
    VALUE_FIELD "R069" Error "value-field" "A correlation of values does not say of which field";
    BOOLEAN_CONDITION "R070" Error "boolean-condition" "A condition over rules stands in a correlation that counts";
    CONDITION_RULES "R071" Error "condition-rules" "The rules of a correlation and of its condition are not the same";
    WINDOW "R072" Warning "window" "A correlation asks for windows of another engine; it is loaded and does not run";
    NEVER_HOLDS "R073" Warning "never-holds" "The bounds of a condition leave no number between them";

    FILTER_RULE "R080" Warning "filter-rule" "A filter names something that is not a loaded rule";
    FILTER_LOG_SOURCE "R081" Warning "filter-log-source" "A filter names a rule that its log source keeps it from";
    IDLE_FILTER "R082" Warning "idle-filter" "A filter reaches no rule";
    FILTER_WITHOUT_NOT "R083" Warning "filter-without-not" "A filter keeps what it selects, since its condition has no `not`";
    FIXTURE_SHAPE "T001" Error "fixture-shape" "A fixture, or an entry of it, is not of the form that it must have";
    FIXTURE_KEY "T002" Error "fixture-key" "A fixture or a case has a key that does not exist";
    CASE_MISSING "T003" Error "case-missing" "A case lacks its name, its event or what is expected";
    CASE_VALUE "T004" Error "case-value" "What a case expects makes no sense";
    CASE_NAME "T005" Warning "case-name" "Two cases of a fixture have one name";
    CASE_RULE "T006" Error "case-rule" "A fixture has no rule beside it, or a case names one that is not in its file";
    CASE_FILE "T007" Error "case-file" "The file of events that a case names cannot be read";
}
