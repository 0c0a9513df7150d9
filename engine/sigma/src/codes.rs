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
    /// How to mend it, where the place has nothing better to say.
    pub cure: &'static str,
}

impl Code {
    /// A diagnostic with this code and its general cure; a label and a better cure are added by the caller.
    pub(crate) fn at(&self, place: &Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code: self.code,
            severity: self.severity,
            place: place.clone(),
            message: message.into(),
            label: None,
            help: Some(self.cure.to_owned()),
            rule: None,
        }
    }
}

macro_rules! codes {
    ($($constant:ident $code:literal $severity:ident $name:literal $explanation:literal $cure:literal;)*) => {
        $(pub(crate) const $constant: Code = Code {
            code: $code,
            name: $name,
            severity: Severity::$severity,
            explanation: $explanation,
            cure: $cure,
        };)*

        /// Every code that loading can report, in the order of the codes.
        pub static CODES: &[Code] = &[$($constant),*];
    };
}

codes! {
    YAML_SYNTAX "R001" Error "yaml-syntax" "The document is not YAML 1.2"
        "indent with blanks and not with tabs, close quotes and brackets, and quote a value that holds `: ` or begins with one of `@ % & * ! [ {`";
    LIMIT "R002" Error "limit" "A file or document exceeds a size limit of the loader"
        "split what is too long into several";
    DUPLICATE_KEY "R003" Error "duplicate-key" "A map has the same key twice; one of the two would be lost"
        "join the two or rename one";
    YAML_TAG "R004" Error "yaml-tag" "A YAML tag outside the core schema, or one that its value does not fit"
        "remove the tag, or quote the value";
    NOT_A_MAP "R005" Error "not-a-map" "A document of a rule file is not a map of attributes"
        "begin the document with `title:`; several documents of a file are separated by `---`";
    MORE_FAULTS "R006" Warning "more-faults" "A document has more faults than are listed"
        "mend those that are listed, and check again";

    MISSING_ATTRIBUTE "R010" Error "missing-attribute" "A document lacks an attribute that Sigma demands"
        "add the attribute";
    WRONG_TYPE "R011" Error "wrong-type" "An attribute that a document cannot do without has the wrong type"
        "give the attribute a value of the kind that is asked for";
    METADATA "R012" Warning "metadata" "A describing attribute is malformed; the document is loaded without it"
        "mend it or remove it; the document is loaded without it";
    ATTRIBUTE_NAME "R013" Warning "attribute-name" "A custom attribute looks like a misspelt attribute of Sigma"
        "mend the spelling, or leave it if the attribute is your own";
    DUPLICATE_ID "R014" Error "duplicate-id" "An earlier document has the same id"
        "give each document an `id` of its own, such as one of `uuidgen`";
    DUPLICATE_NAME "R015" Error "duplicate-name" "An earlier document has the same name"
        "give each document a `name` of its own";
    ACTION "R017" Error "action" "An `action` that Sigma does not know, or a `repeat` without a rule before it"
        "put the rule that is repeated before it in the same file, or write this rule out";
    GLOBAL_CLASH "R018" Warning "global-clash" "A rule sets a value that a global document sets too; the global value wins"
        "remove the line here, or from the global document";
    SIGMA_VERSION "R019" Error "sigma-version" "The document is written for a newer or unknown version of Sigma"
        "write it for Sigma 2, or use a newer program";
    TAXONOMY "R020" Error "taxonomy" "The document's fields follow a taxonomy that is not mapped"
        "remove `taxonomy`, and name fields as `pythia fields` lists them";
    LOG_SOURCE "R021" Error "log-source" "The log source is empty or malformed"
        "name a log source, such as `{product: linux, category: process_creation}`";
    LOG_SOURCE_SPELLING "R022" Warning "log-source-spelling" "A log source value is not spelt as Sigma demands"
        "write it in lower case, with `_` for blanks";
    DATE_SLASHES "R023" Warning "date-slashes" "A date is written with slashes"
        "write the date as YYYY-MM-DD";
    SAME_KEY "R024" Warning "same-key" "Two documents without id or name are known by the same title"
        "give each an `id`";
    MIXED_DOCUMENT "R025" Error "mixed-document" "A document is more than one of rule, correlation and filter"
        "write each as a document of its own, separated by `---`";
    REJECTED_REFERENCE "R026" Error "rejected-reference" "A correlation reads a document that was rejected"
        "mend that document first";
    VERSION_MIX "R027" Warning "version-mix" "A correlation or filter and one of its rules are written for different versions of Sigma"
        "give both the same `sigma-version`";
    NO_EFFECT "R028" Warning "no-effect" "A line that has no meaning where it stands"
        "remove the line";

    NO_SELECTION "R030" Error "no-selection" "The detection has no search identifier"
        "add a selection, such as `selection: {Image|endswith: /nc}`";
    EMPTY_SELECTION "R031" Error "empty-selection" "A search identifier holds nothing to look for"
        "add what is to be looked for, or remove the line";
    EMPTY_VALUES "R032" Error "empty-values" "A field has an empty list of values"
        "add a value, or remove the line; `field: null` asks for a missing field, `field: ''` for an empty one";
    VALUE_SHAPE "R033" Error "value-shape" "A list or map stands where a single value is expected"
        "write one value, or a flat list of values";
    UNKNOWN_MODIFIER "R034" Error "unknown-modifier" "A field name carries a modifier that Sigma does not know"
        "use one of contains, startswith, endswith, all, re, cidr, exists, cased, neq, windash, base64, base64offset, utf16le, utf16be, utf16, lt, lte, gt, gte, fieldref, expand, minute, hour, day, week, month, year";
    MODIFIER_CHAIN "R035" Error "modifier-chain" "Modifiers that do not go together, or in this order"
        "write `field|type|anchor|all`: a modifier that changes the kind of value comes first, encodings before anchors";
    MODIFIER_VALUE "R036" Error "modifier-value" "A value of a kind that the modifier cannot take"
        "`lt` to `gte` take unquoted numbers, parts of a date whole numbers, `exists` true or false, encodings text without wildcards, `fieldref` a field";
    REGEX "R037" Error "regex" "A regular expression that does not parse"
        "mend the expression; a literal `( ) [ { + ? * . |` is written with a backslash before it";
    REGEX_CONSTRUCT "R038" Error "regex-construct" "A regular expression uses a construct outside the dialect"
        "split it: match the rest here, and exclude with `not` in the condition";
    CIDR "R039" Error "cidr" "Not a network in CIDR notation"
        "write an address and the length of its prefix, such as `10.0.0.0/8` or `fe80::/10`";
    PLACEHOLDER "R040" Error "placeholder" "A placeholder has no source of values"
        "give it values in a file, `--placeholders FILE`";
    NULL_IN_LIST "R041" Warning "null-in-list" "`null` stands in a list of values, which Sigma forbids"
        "put it into a selection of its own";
    ALL_WITH_ONE_VALUE "R042" Warning "all-with-one-value" "`all` with a single value changes nothing"
        "remove `all`, or add values";
    NUMBER_AS_TEXT "R043" Warning "number-as-text" "A text modifier is applied to a number; it is compared by its text"
        "quote it";
    NUMBER_RADIX "R044" Warning "number-radix" "An unquoted hexadecimal or octal number is its decimal value"
        "quote it if the text is meant";
    TIMEFRAME "R045" Warning "timeframe" "`timeframe` has no meaning in Sigma 2 and is not a search identifier"
        "remove it, or write a correlation with a `timespan`";
    ARRAY_SYNTAX "R046" Warning "array-syntax" "Array matching begins with Sigma 3; the bracket is part of the name"
        "array matching begins with Sigma 3; a path crosses arrays without brackets";

    CONDITION_MISSING "R050" Error "condition-missing" "The detection or filter has no condition"
        "add a condition, such as `condition: selection`";
    CONDITION_SYNTAX "R051" Error "condition-syntax" "The condition does not parse"
        "combine the names of selections with `and`, `or`, `not`, brackets, `1 of` and `all of`";
    UNKNOWN_SELECTION "R052" Error "unknown-selection" "The condition names a selection that does not exist"
        "name a selection of this document, or add it";
    EMPTY_SELECTOR "R053" Error "empty-selector" "A pattern of the condition matches no selection"
        "name a pattern that fits a selection";
    CONDITION_CASE "R054" Error "condition-case" "Operators of a condition are written in lower case"
        "write `and`, `or`, `not`, `of` in lower case";
    CONDITION_COUNT "R055" Error "condition-count" "Only `1 of`, `any of` and `all of` exist"
        "write `1 of` or `all of`; to count events, write a correlation";
    CONDITION_AGGREGATION "R056" Error "condition-aggregation" "Aggregations after a pipe were removed from Sigma"
        "write a correlation that names this rule";
    UNUSED_SELECTION "R057" Warning "unused-selection" "A selection that the condition never looks at"
        "name it in the condition, remove it, or begin its name with `_` to keep it aside";

    CORRELATION_TYPE "R060" Error "correlation-type" "A type of correlation that Sigma does not know"
        "use one of event_count, value_count, temporal, temporal_ordered, value_sum, value_avg, value_percentile, value_median";
    CORRELATION_KEY "R061" Warning "correlation-key" "A correlation has a line that Sigma does not know"
        "mend the spelling, or remove the line";
    TIMESPAN "R062" Error "timespan" "A timespan that is not a whole number with a unit"
        "write a whole number and a unit, such as `5m`, `1h` or `7d`";
    UNKNOWN_RULE "R063" Error "unknown-rule" "A correlation reads something that is no rule and no correlation"
        "name a loaded rule or correlation by its `id` or `name`";
    CIRCULAR "R064" Error "circular" "A correlation reads itself, directly or through others"
        "take it out of `rules`";
    SAME_RULE "R065" Warning "same-rule" "A correlation lists a rule twice"
        "name each rule once";
    ALIAS_RULE "R066" Error "alias-rule" "An alias names a rule that the correlation does not list, or names it twice"
        "an alias names rules of `rules`, each once";
    UNUSED_ALIAS "R067" Warning "unused-alias" "An alias that `group-by` does not use"
        "add it to `group-by`, or remove it";
    BOUND "R068" Error "bound" "The condition of a correlation has no operator, an unknown one, or no number behind it"
        "write an operator and a number, such as `gte: 10`";
    VALUE_FIELD "R069" Error "value-field" "A correlation of values does not say of which field"
        "add one `field: NAME` to the condition";
    BOOLEAN_CONDITION "R070" Error "boolean-condition" "A condition over rules stands in a correlation that counts"
        "count with `gte: 10`, or use the type `temporal`";
    CONDITION_RULES "R071" Error "condition-rules" "The rules of a correlation and of its condition are not the same"
        "list the same rules in `rules` and in the condition";
    WINDOW "R072" Warning "window" "A correlation asks for windows of another engine; it is loaded and does not run"
        "remove it: windows slide, and end at each event";
    NEVER_HOLDS "R073" Warning "never-holds" "The bounds of a condition leave no number between them"
        "raise the upper bound or lower the other";

    FILTER_RULE "R080" Warning "filter-rule" "A filter names something that is not a loaded rule"
        "name a loaded rule by its `id` or `name`";
    FILTER_LOG_SOURCE "R081" Warning "filter-log-source" "A filter names a rule that its log source keeps it from"
        "give the filter the rule's log source, or take the rule out of `rules`";
    IDLE_FILTER "R082" Warning "idle-filter" "A filter reaches no rule"
        "mend its log source or its `rules`, or remove the filter";
    FILTER_WITHOUT_NOT "R083" Warning "filter-without-not" "A filter keeps what it selects, since its condition has no `not`"
        "write `condition: not selection` to drop what is selected";

    FILTER_KEPT "R100" Warning "filter-kept" "A rule demands what a selection named as a filter selects"
        "write `not` before it, or give it another name";
    NO_INFLUENCE "R101" Warning "no-influence" "The outcome of a selection cannot change that of the condition"
        "look at the brackets and at `and` and `or`; remove the selection if it is not needed";
    ALWAYS_OR_NEVER "R102" Warning "always-or-never" "The condition gives the same for all outcomes of its selections"
        "a selection stands against itself: look at `not`, at the brackets and at what the patterns select";
    SAME_SELECTION "R103" Warning "same-selection" "Two selections ask the same"
        "mend the one that was copied, or remove it";
    CONTRADICTION "R104" Warning "contradiction" "A selection demands a field to be missing and to have a value"
        "put one of the two into a selection of its own and join them with `or`";
    COVERED_VALUE "R105" Warning "covered-value" "A value of a list holds only where another one of the list holds too"
        "remove it, or narrow the other";
    GLOB_IN_REGEX "R106" Warning "glob-in-regex" "A regular expression looks like a pattern with wildcards"
        "for any run of characters write `.*`, or use the wildcard without `re`";
    REGEX_IN_VALUE "R107" Warning "regex-in-value" "A plain value looks like a regular expression"
        "write `re` behind the field, or use the wildcards `*` and `?`";
    STRAY_WILDCARD "R108" Warning "stray-wildcard" "A wildcard at the end of a value that says nothing beside the modifier, or undoes it"
        "remove the `*`";
    ESCAPED_WILDCARD "R109" Warning "escaped-wildcard" "A backslash takes the meaning of the wildcard behind a folder's name"
        "double the backslash";

    FIXTURE_SHAPE "T001" Error "fixture-shape" "A fixture, or an entry of it, is not of the form that it must have"
        "write `cases: [{name: ..., event: '...', expect: alert}]`";
    FIXTURE_KEY "T002" Error "fixture-key" "A fixture or a case has a key that does not exist"
        "mend the spelling, or remove the line";
    CASE_MISSING "T003" Error "case-missing" "A case lacks its name, its event or what is expected"
        "give each case `name`, `event` or `event_file`, and `expect`";
    CASE_VALUE "T004" Error "case-value" "What a case expects makes no sense"
        "write `expect: alert` or `expect: silent`; only a case that alerts has `alert:`";
    CASE_NAME "T005" Warning "case-name" "Two cases of a fixture have one name"
        "give each case a name of its own";
    CASE_RULE "T006" Error "case-rule" "A fixture has no rule beside it, or a case names one that is not in its file"
        "put the fixture beside its rule: `x.test.yml` beside `x.yml`";
    CASE_FILE "T007" Error "case-file" "The file of events that a case names cannot be read"
        "mend the path, which is relative to the fixture";
}
