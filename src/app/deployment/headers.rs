//! Whether identity headers that a client makes up reach the application, under any spelling that it may read.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Finding, Place};
use crate::platform::Platform;
use crate::provision::catalogue;

const ITEM: &str = "identity headers";

/// What can stand in a header's name beside letters and digits (RFC 9110, 5.6.2): servers turn several of them into
/// one, so that `X_User` and `X.User` are read as `X-User`.
const SEPARATORS: [&str; 16] =
    ["-", "_", ".", "~", "+", "!", "#", "$", "%", "&", "'", "*", "^", "`", "|", ""];

/// Sends each managed header in each spelling to the echo route, and looks whether the value comes back.
pub(super) async fn headers(place: &Place<'_>, platform: &Platform) -> Vec<Finding> {
    let Some(echo) = &place.tries.echo else {
        let told = "name a path that answers with the headers that it got and needs no sign-in: --echo /PATH";
        return vec![Finding::not_tried(ITEM, told)];
    };
    let (Ok(control), Ok(forged)) = (marker(platform), marker(platform)) else {
        return vec![Finding::not_tried(ITEM, "there are no random numbers to be had")];
    };
    // What is not ours must come through, or nothing that does not come through says anything.
    let came = match sent(place, echo, "x-probe", &control).await {
        Ok(came) => came,
        Err(finding) => return vec![finding],
    };
    if !came {
        let told = format!("{echo} does not answer with the headers that it got, or needs a sign-in");
        return vec![Finding::not_tried(ITEM, told)];
    }
    let (mut findings, mut tried) = (Vec::new(), 0_usize);
    let names = names(place);
    if names.is_empty() {
        let told = "there is no [headers], [upstream_token] or connector that the application would believe; name what \
                    it believes with --believes";
        return vec![Finding::not_tried(ITEM, told)];
    }
    for (name, managed) in names {
        tried += 1;
        match sent(place, echo, name.as_str(), &forged).await {
            Ok(false) => {}
            Ok(true) => {
                let help = match managed {
                    Managed::Yes => {
                        "do not forward to the application except through narthex, and report this if narthex did"
                    }
                    Managed::No => {
                        "narthex knows nothing of this header: name it under [headers] of proxy.toml, which removes \
                         what clients send, or have the application believe none but those"
                    }
                };
                findings.push(Finding::wrong(
                    ITEM,
                    format!(
                        "`{name}` of a client reached the application: whoever sends it is whom they say; {help}"
                    ),
                ));
            }
            Err(finding) => return vec![finding],
        }
    }
    // A limit on the way, or an application that went away, lets nothing through either.
    let still = sent(place, echo, "x-probe", &control).await;
    if findings.is_empty() && !matches!(still, Ok(true)) {
        let told = format!(
            "{echo} stopped to answer with the headers that it got, so what did not come back says nothing"
        );
        return vec![Finding::not_tried(ITEM, told)];
    }
    if findings.is_empty() {
        findings.push(Finding::fine(
            ITEM,
            format!("none of {tried} spellings of a client reached the application"),
        ));
    }
    findings
}

fn marker(platform: &Platform) -> Result<HeaderValue, Box<dyn std::error::Error>> {
    let random: [u8; 16] = platform.entropy.bytes()?;
    Ok(HeaderValue::try_from(format!("probe-{}", URL_SAFE_NO_PAD.encode(random)))?)
}

/// Whether the value came back.
async fn sent(place: &Place<'_>, echo: &str, name: &str, value: &HeaderValue) -> Result<bool, Finding> {
    let request = place.request(echo).header(name, value);
    match place.outbound.send(request).await {
        Ok(answer) if holds(&answer.body, value.as_bytes()) => Ok(true),
        // Somebody on the way, who need not have handed it on.
        Ok(answer) if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS => {
            let told = format!(
                "{echo} was answered with {} where `{name}` was sent, which says nothing",
                answer.status
            );
            Err(Finding::not_tried(ITEM, told))
        }
        Ok(_) => Ok(false),
        Err(error) => Err(Finding::wrong(ITEM, error.to_string())),
    }
}

fn holds(body: &[u8], value: &[u8]) -> bool {
    body.windows(value.len()).any(|window| window == value)
}

/// Whether narthex has it removed from what clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Managed {
    Yes,
    No,
}

/// Every spelling of every header that the application believes.
fn names(place: &Place<'_>) -> BTreeMap<String, Managed> {
    let settings = place.settings;
    let token = settings.upstream_token.as_ref().map(|token| &token.header);
    let set = settings.headers.iter().map(|header| &header.name).chain(token).map(HeaderName::as_str);
    let connector = settings.application.as_ref();
    let connector = connector.and_then(|application| catalogue::features(&application.connector).ok());
    let trusted = connector.map(|features| features.trusted_headers).unwrap_or_default();
    let managed: Vec<&str> = set.chain(trusted.iter().map(String::as_str)).collect();
    believed(&managed, &place.tries.believes)
}

fn believed(managed: &[&str], besides: &[HeaderName]) -> BTreeMap<String, Managed> {
    let of = |name: &str, is: Managed| spellings(name).into_iter().map(move |name| (name.to_string(), is));
    // What is managed is so in all spellings, those that somebody believes besides included.
    let besides = besides.iter().flat_map(|name| of(name.as_str(), Managed::No));
    besides.chain(managed.iter().flat_map(|name| of(name, Managed::Yes))).collect()
}

fn spellings(name: &str) -> Vec<HeaderName> {
    let parts: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let mut all: Vec<String> = SEPARATORS.iter().map(|separator| parts.join(separator)).collect();
    // One of them only, too: `X-Remote_User`.
    for cut in 1..parts.len() {
        let (before, after) = parts.split_at(cut);
        all.push(format!("{}_{}", before.join("-"), after.join("-")));
    }
    all.iter().filter_map(|name| HeaderName::try_from(name.as_str()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_separator_and_each_alone_is_among_the_spellings() {
        let all = spellings("X-Remote-User");
        for name in [
            "x-remote-user",
            "x_remote_user",
            "x.remote.user",
            "xremoteuser",
            "x-remote_user",
            "x_remote-user",
        ] {
            assert!(all.iter().any(|one| one == name), "{name} is not among {all:?}");
        }
        assert_eq!(all.len(), SEPARATORS.len() + 2);
        assert_eq!(spellings("Remote").len(), SEPARATORS.len(), "of one word there is one spelling");
    }

    #[test]
    fn what_the_application_believes_besides_is_tried_in_every_spelling_too() {
        let besides = [HeaderName::from_static("x-remote-user"), HeaderName::from_static("x_auth_user")];
        let all = believed(&["X-Auth-User"], &besides);
        assert_eq!(all.get("x_remote_user"), Some(&Managed::No));
        assert_eq!(all.get("x-remote-user"), Some(&Managed::No));
        assert_eq!(all.get("x_auth_user"), Some(&Managed::Yes), "another spelling of what is managed");
        assert_eq!(all.len(), 2 * spellings("a-b-c").len());
    }

    #[test]
    fn a_value_is_found_wherever_it_stands() {
        assert!(holds(b"{\"x-user\": \"probe-1\"}", b"probe-1"));
        assert!(!holds(b"{\"x-user\": \"probe-2\"}", b"probe-1"));
        assert!(!holds(b"", b"probe-1"));
    }
}
