//! Which route a canonical path meets: by whole segments, the longest wins.

use crate::config::settings::{Access, Route};
use crate::listen::path::{CanonicalPath, PathError, is_below};

/// The configured routes, longest path first. What none names needs a signed-in user.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Route>,
    /// Of what none names.
    other: Route,
}

impl Routes {
    #[must_use]
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| std::cmp::Reverse(specificity(&route.path)));
        let other = Route {
            path: "/".to_owned(),
            access: Access::SignedIn,
            keep_encoded_slash: false,
            pass_identity: true,
        };
        Self { routes, other }
    }

    /// The path's route.
    ///
    /// # Errors
    /// [`PathError::EncodedSlash`] and [`PathError::TwoReadings`]: a path that an upstream could take for
    /// another one passes only if that other one meets the same route.
    pub fn route(&self, path: &CanonicalPath) -> Result<&Route, PathError> {
        let index = self.index(path.as_str());
        if path.has_encoded_slash() {
            // SECURITY: lesson 10. Only where the route keeps encoded slashes, and never across routes.
            if !index.and_then(|at| self.routes.get(at)).is_some_and(|route| route.keep_encoded_slash) {
                return Err(PathError::EncodedSlash);
            }
            if path.parameters_dropped().is_some() || self.index(&path.slashes_decoded()) != index {
                return Err(PathError::TwoReadings);
            }
        }
        // SECURITY: servlet containers drop `;…` before they route, most others do not.
        if path.parameters_dropped().is_some_and(|dropped| self.index(&dropped) != index) {
            return Err(PathError::TwoReadings);
        }
        // SECURITY: many applications take `/Admin` for `/admin`; a rule that only one spelling meets is none.
        if self.index_whatever_case(path.as_str()) != index {
            return Err(PathError::TwoReadings);
        }
        Ok(index.and_then(|at| self.routes.get(at)).unwrap_or(&self.other))
    }

    fn index(&self, path: &str) -> Option<usize> {
        self.routes.iter().position(|route| is_below(path, &route.path))
    }

    fn index_whatever_case(&self, path: &str) -> Option<usize> {
        self.routes.iter().position(|route| {
            let prefix = route.path.strip_suffix('/').unwrap_or(&route.path);
            let Some((start, rest)) = path.split_at_checked(prefix.len()) else { return false };
            start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Length counts: of two paths that both cover a request, the longer one is below the shorter.
fn specificity(path: &str) -> usize {
    path.strip_suffix('/').unwrap_or(path).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let route = |path: &str, access, keep| Route {
            path: path.into(),
            access,
            keep_encoded_slash: keep,
            pass_identity: true,
        };
        Routes::new(vec![
            route("/", Access::SignedIn, false),
            route("/public", Access::Public, false),
            route("/public/secret", Access::Deny, false),
            route("/npm", Access::Public, true),
            route("/npm/private", Access::Deny, true),
        ])
    }

    fn access(path: &str) -> Result<&'static str, PathError> {
        let routes = routes();
        Ok(match routes.route(&CanonicalPath::parse(path)?)?.access {
            Access::Public => "public",
            Access::SignedIn => "signed_in",
            Access::Deny => "deny",
            Access::Allow(_) => "allow",
        })
    }

    #[test]
    fn the_most_specific_route_wins_by_whole_segments() {
        for (path, expected) in [
            ("/", "signed_in"),
            ("/x", "signed_in"),
            ("/public", "public"),
            ("/public/", "public"),
            ("/public/x", "public"),
            ("/publicity", "signed_in"),
            ("/public/secret", "deny"),
            ("/public/secret/x", "deny"),
            ("/public/secrets", "public"),
            ("//public//secret", "deny"),
            ("/public/%73ecret", "deny"),
        ] {
            assert_eq!(access(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_no_route_names_needs_a_signed_in_user() {
        let routes = Routes::new(Vec::new());
        let path = CanonicalPath::parse("/anything").unwrap();
        let route = routes.route(&path).unwrap();
        assert!(matches!(route.access, Access::SignedIn) && route.pass_identity);
    }

    #[test]
    fn lesson_10_an_encoded_slash_passes_only_where_its_route_keeps_it_and_both_readings_meet_it() {
        assert_eq!(access("/public/a%2Fb"), Err(PathError::EncodedSlash));
        assert_eq!(access("/a%2Fb"), Err(PathError::EncodedSlash));
        assert_eq!(access("/npm/@scope%2Fpackage"), Ok("public"));
        assert_eq!(access("/npm/private%2Fx"), Err(PathError::TwoReadings));
        assert_eq!(access("/npm%2Fx"), Err(PathError::EncodedSlash));
        assert_eq!(access("/npm/a;b%2Fc"), Err(PathError::TwoReadings));
    }

    #[test]
    fn lesson_10_another_case_cannot_lead_around_a_rule() {
        assert_eq!(access("/public/Secret"), Err(PathError::TwoReadings));
        assert_eq!(access("/PUBLIC"), Err(PathError::TwoReadings));
        assert_eq!(access("/public/Page"), Ok("public"));
        assert_eq!(access("/Elsewhere"), Ok("signed_in"));
    }

    #[test]
    fn lesson_10_path_parameters_cannot_lead_around_a_rule() {
        assert_eq!(access("/public/secret;x=1"), Err(PathError::TwoReadings));
        assert_eq!(access("/public;x/secret"), Err(PathError::TwoReadings));
        assert_eq!(access("/;x/public"), Err(PathError::TwoReadings));
        assert_eq!(access("/public/page;jsessionid=1"), Ok("public"));
    }
}
