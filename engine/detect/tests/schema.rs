//! The published schema is the type's.

use expect_test::expect_file;

#[test]
fn the_alert_schema_is_up_to_date() {
    expect_file!["../../../schemas/alert.v1.json"].assert_eq(&detect::alert_schema());
}
