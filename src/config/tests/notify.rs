//! `[notify]`, as an operator meets it.

use super::*;

const SMTP: &str = "[notify]\nadministrators = [\"root@example.com\"]\n[notify.smtp]\nhost = \"mail.example.com\"\nfrom = \"narthex@example.com\"\n";
const WEBHOOK: &str = "[notify.webhook]\nurl = \"https://hooks.example.com/x?y=1\"\nsecret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\"\n";

fn accepted(text: &str) -> Notify {
    settings(&format!("{MINIMAL}{text}")).notify
}

#[test]
fn s4_mail_and_webhook_have_sensible_defaults() {
    let notify = accepted("");
    assert!(notify.administrators.is_empty() && notify.smtp.is_none() && notify.webhook.is_none());
    assert_eq!(notify.events.len(), 7);
    let notify = accepted(&format!("{SMTP}{WEBHOOK}"));
    let smtp = notify.smtp.unwrap();
    assert_eq!((smtp.port, smtp.security, smtp.credentials.is_none()), (587, SmtpSecurity::Starttls, true));
    assert_eq!(notify.administrators[0].to_string(), "root@example.com");
    assert_eq!(notify.webhook.unwrap().url.as_str(), "https://hooks.example.com/x?y=1");
    let port = |security: &str, host: &str| {
        let text = with(SMTP, "mail.example.com\"", &format!("{host}\"\nsecurity = \"{security}\""));
        accepted(&text).smtp.unwrap().port
    };
    assert_eq!(
        (port("tls", "mail.example.com"), port("none", "127.0.0.1"), port("none", "localhost")),
        (465, 25, 25)
    );
}

#[test]
fn s4_what_cannot_be_sent_or_trusted_is_refused() {
    let smtp = |from: &str, to: &str| added(&with(SMTP, from, to));
    let webhook = |from: &str, to: &str| added(&with(WEBHOOK, from, to));
    for (said, expected) in [
        (
            added("[notify]\nadministrators = [\"root@example.com\"]\n"),
            "nothing says how mail is sent to them",
        ),
        (smtp("root@example.com", "Root <root@example.com>"), "is not one plain e-mail address"),
        (
            smtp("narthex@example.com", "narthex@example.com\\r\\nBcc: eve@example.com"),
            "is not one plain e-mail address",
        ),
        (smtp("mail.example.com", "mail.example.com:25"), "is no host name"),
        (
            smtp("mail.example.com\"", "mail.example.com\"\nsecurity = \"none\""),
            "is none, and mail.example.com is another machine",
        ),
        (smtp("mail.example.com\"", "mail.example.com\"\nsecurity = \"ssl\""), "cannot be \"ssl\""),
        (
            smtp("mail.example.com\"", "mail.example.com\"\nusername = \"a\""),
            "has a username and no password",
        ),
        (
            smtp("mail.example.com\"", "mail.example.com\"\npassword = \"a\""),
            "has a password and no username",
        ),
        (smtp("mail.example.com\"", "mail.example.com\"\nport = 0"), "cannot be 0"),
        (
            smtp("[\"root@example.com\"]", "[\"root@example.com\"]\nevents = [\"acount_created\"]"),
            "did you mean \"account_created\"?",
        ),
        (webhook("https://hooks", "http://hooks"), "it says who got which account: use https"),
        (webhook("whsec_", ""), "is not whsec_ and the base64 of 24 to 64 bytes"),
        (
            webhook("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_c2hvcnQ="),
            "is not whsec_ and the base64 of 24 to 64 bytes",
        ),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
