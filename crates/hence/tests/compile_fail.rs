//! The mistakes that a user is most likely to make, and what the compiler says to each.
//!
//! Every message names the cure. `TRYBUILD=overwrite cargo test -p hence --test compile_fail`
//! writes the expected messages anew; read them as a newcomer would before you commit them.

#[test]
fn mistakes_name_their_cure() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
