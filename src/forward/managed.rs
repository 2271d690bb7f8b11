//! Which header names belong to narthex: compared folded, so that no spelling slips past.

use http::HeaderName;

/// Families of forwarding headers, by how their folded names begin. Applications and frameworks believe more
/// of these than any list could name, so all of a family are taken (SECURITY.md, invariant 5).
const FAMILIES: [&str; 2] = ["xforwarded", "xoriginal"];

/// Further headers that say who or where a client is, folded. `proxy` becomes `HTTP_PROXY` in CGI
/// (CVE-2016-5385).
const SINGLE: [&str; 12] = [
    "forwarded",
    "xrealip",
    "xclientip",
    "clientip",
    "trueclientip",
    "xclusterclientip",
    "cfconnectingip",
    "xrewriteurl",
    "xrequestid",
    "traceparent",
    "xenvoyexternaladdress",
    "proxy",
];

/// The set of managed names.
#[derive(Debug, Clone)]
pub struct Managed {
    /// By length of the folded name; each entry with the spelling that is ours.
    by_length: Vec<Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    folded: String,
    usual: String,
}

/// How a client's header stands to the managed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None of ours.
    Free,
    /// Ours, as it is usually spelt.
    Managed,
    /// Ours, by an unusual separator: an attack.
    Alias,
}

impl Managed {
    /// The built-in ones, and `configured` besides.
    pub fn new<'a>(configured: impl IntoIterator<Item = &'a str>) -> Self {
        let mut managed = Self { by_length: Vec::new() };
        let mut usual = vec!["forwarded", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip"];
        usual.extend(["x-cluster-client-ip", "cf-connecting-ip", "x-rewrite-url", "x-request-id"]);
        usual.extend(["traceparent", "x-envoy-external-address", "proxy"]);
        for (folded, usual) in SINGLE.into_iter().zip(usual) {
            managed.add(folded.to_owned(), usual.to_owned());
        }
        for name in configured {
            managed.add(fold(name), name.to_ascii_lowercase());
        }
        managed
    }

    fn add(&mut self, folded: String, usual: String) {
        let length = folded.len();
        if self.by_length.len() <= length {
            self.by_length.resize(length + 1, Vec::new());
        }
        if let Some(row) = self.by_length.get_mut(length) {
            row.push(Entry { folded, usual });
        }
    }

    /// Where `name` stands. No allocation for names of up to 128 bytes.
    ///
    /// SECURITY: lessons 1 and 2. `X_Forwarded_User`, `X.Forwarded.User` and `X-Forwarded--User` are one
    /// name to some application or gateway behind us.
    #[must_use]
    pub fn standing(&self, name: &HeaderName) -> Standing {
        let raw = name.as_str().as_bytes();
        let mut buffer = [0_u8; 128];
        let mut length = 0;
        for byte in raw.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            match buffer.get_mut(length) {
                Some(slot) => *slot = byte.to_ascii_lowercase(),
                // Longer than any name that could be meant, unless one of that length is configured.
                None => return self.standing_of_long(name.as_str()),
            }
            length += 1;
        }
        self.look_up(buffer.get(..length).unwrap_or_default(), raw)
    }

    fn standing_of_long(&self, name: &str) -> Standing {
        self.look_up(fold(name).as_bytes(), name.as_bytes())
    }

    fn look_up(&self, folded: &[u8], raw: &[u8]) -> Standing {
        if FAMILIES.iter().any(|family| folded.starts_with(family.as_bytes())) {
            // `x-forwarded…` and `x-original…` are usual; any other way to the same letters is not.
            let usual = raw.starts_with(b"x-forwarded") || raw.starts_with(b"x-original");
            let clean =
                usual && !raw.windows(2).any(|pair| pair == b"--") && !raw.iter().any(|b| b"_.".contains(b));
            return if clean { Standing::Managed } else { Standing::Alias };
        }
        match self.by_length.get(folded.len()) {
            None => Standing::Free,
            Some(row) => {
                let mut standing = Standing::Free;
                for entry in row.iter().filter(|entry| entry.folded.as_bytes() == folded) {
                    if entry.usual.as_bytes() == raw {
                        return Standing::Managed;
                    }
                    standing = Standing::Alias;
                }
                standing
            }
        }
    }
}

/// Lower-case letters and digits only.
#[must_use]
pub fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(name: &str) -> Standing {
        Managed::new(["X-WEBAUTH-USER"]).standing(&HeaderName::from_bytes(name.as_bytes()).unwrap())
    }

    #[test]
    fn lessons_1_and_2_every_spelling_of_a_managed_name_is_managed() {
        for name in [
            "x_webauth_user",
            "X.WEBAUTH.USER",
            "x-webauth--user",
            "xwebauthuser",
            "x-webauth_user",
            "-x-webauth-user",
            "x-webauth-user-",
            "x~webauth~user",
            "x!webauth#user",
        ] {
            assert_eq!(standing(name), Standing::Alias, "{name}");
        }
        assert_eq!(standing("X-WebAuth-User"), Standing::Managed);
    }

    #[test]
    fn names_that_only_resemble_a_managed_one_are_free() {
        for name in [
            "x-webauth-users",
            "webauth-user",
            "x-webauth",
            "accept",
            "x-forward",
            "cookie",
            "x-webauth-user1",
        ] {
            assert_eq!(standing(name), Standing::Free, "{name}");
        }
    }

    #[test]
    fn lesson_3_forwarding_headers_are_managed_whatever_their_end() {
        for name in [
            "x-forwarded-for",
            "x-forwarded-uri",
            "x-forwarded-anything",
            "x-forwarded",
            "x-original-url",
            "x-original-method",
            "forwarded",
            "x-real-ip",
            "true-client-ip",
            "x-rewrite-url",
            "proxy",
            "traceparent",
            "x-request-id",
        ] {
            assert_eq!(standing(name), Standing::Managed, "{name}");
        }
        for name in [
            "x_forwarded_for",
            "x.forwarded.uri",
            "x-forwarded--for",
            "xforwardedfor",
            "x-forwarded_user",
            "x_original_url",
            "x-original.url",
            "x_real_ip",
            "x-original--url",
        ] {
            assert_eq!(standing(name), Standing::Alias, "{name}");
        }
    }

    #[test]
    fn a_name_longer_than_the_buffer_is_still_compared_whole() {
        let long = format!("x-{}", "a".repeat(200));
        let managed = Managed::new([long.as_str()]);
        let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).unwrap();
        assert_eq!(managed.standing(&name(&long)), Standing::Managed);
        assert_eq!(managed.standing(&name(&long.replace('-', "_"))), Standing::Alias);
        assert_eq!(managed.standing(&name(&format!("{long}a"))), Standing::Free);
    }
}
