//! A sign-in that the identity provider's answer ended, check by check.

use std::fmt::Write as _;

use super::printable;
use crate::identify::refused::Refused;

pub(super) fn told(refused: &Refused) -> String {
    let mut text = String::new();
    let at_whom = refused.idp.as_ref().map_or("no identity provider", |idp| idp.as_str());
    let _ = writeln!(text, "{}  {at_whom}  {} (to act: {})", refused.at, refused.code, refused.fault);
    let _ = writeln!(text, "{}", refused.message);
    if !refused.steps.is_empty() {
        text.push('\n');
    }
    for step in &refused.steps {
        let verdict = if step.passed { "ok    " } else { "FAILED" };
        let _ = writeln!(text, "{verdict}  {}  ({})", step.check, step.source);
        let _ = writeln!(text, "        expected  {}", step.expected);
        let _ = writeln!(text, "        came      {}", step.found);
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::saml::Step;
    use crate::model::UnixTime;

    #[test]
    fn every_check_is_told_with_what_was_expected_and_what_came() {
        let step = |check: &'static str, passed| Step {
            check: check.into(),
            source: "SAML Core 2.5.1.4".into(),
            expected: "https://app.example".to_owned(),
            found: "https://other.example".to_owned(),
            passed,
        };
        let refused = Refused {
            at: UnixTime(1_800_000_000),
            idp: Some("partner".parse().unwrap()),
            code: "audience_mismatch".to_owned(),
            fault: "operator".to_owned(),
            message: "set the SP entity ID at the IdP to https://app.example".to_owned(),
            steps: vec![step("Status", true), step("Audience", false)],
        };
        let text = told(&refused);
        let expected = "2027-01-15T08:00:00Z  partner  audience_mismatch (to act: operator)\n\
                        set the SP entity ID at the IdP to https://app.example\n\n\
                        ok      Status  (SAML Core 2.5.1.4)\n        \
                        expected  https://app.example\n        came      https://other.example\n\
                        FAILED  Audience  (SAML Core 2.5.1.4)\n        \
                        expected  https://app.example\n        came      https://other.example\n";
        assert_eq!(text, expected);
    }
}
