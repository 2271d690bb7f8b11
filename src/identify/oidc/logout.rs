//! Signing out at the provider too (OpenID Connect RP-Initiated Logout 1.0, 2).

use url::Url;

/// A longer ID token is not sent as hint: it would make an address that servers refuse (431, 414), and the
/// provider then asks the person instead.
const MAX_HINT: usize = 6 * 1024;

/// The address that ends the provider's session and comes back to `post_logout`.
#[must_use]
pub fn address(
    endpoint: &Url,
    client_id: &str,
    id_token_hint: Option<&str>,
    post_logout: &Url,
    state: &str,
) -> Url {
    let mut url = endpoint.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(hint) = id_token_hint.filter(|hint| hint.len() <= MAX_HINT) {
            query.append_pair("id_token_hint", hint);
        }
        query
            .append_pair("client_id", client_id)
            .append_pair("post_logout_redirect_uri", post_logout.as_str())
            .append_pair("state", state);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(hint: Option<&str>) -> Vec<(String, String)> {
        let endpoint = Url::parse("https://id.example/logout?tenant=1").unwrap();
        let back = Url::parse("https://app.example/?a=b&c").unwrap();
        address(&endpoint, "app", hint, &back, "s&t").query_pairs().into_owned().collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_address_carries_what_the_provider_needs_and_keeps_its_own_query() {
        let rest = [
            pair("client_id", "app"),
            pair("post_logout_redirect_uri", "https://app.example/?a=b&c"),
            pair("state", "s&t"),
        ];
        assert_eq!(pairs(None), [vec![pair("tenant", "1")], rest.to_vec()].concat());
        let with_hint = [vec![pair("tenant", "1"), pair("id_token_hint", "h.i.n")], rest.to_vec()].concat();
        assert_eq!(pairs(Some("h.i.n")), with_hint);
    }

    #[test]
    fn a_hint_that_would_make_the_address_too_long_is_left_out() {
        assert_eq!(MAX_HINT, 6144);
        assert_eq!(pairs(Some(&"x".repeat(MAX_HINT))).len(), 5);
        assert_eq!(pairs(Some(&"x".repeat(MAX_HINT + 1))).len(), 4);
    }
}
