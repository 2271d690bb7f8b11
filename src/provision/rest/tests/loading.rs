//! A broken recipe is refused with the line and column of its first fault.

use crate::provision::rest::error::{RecipeError, RecipeFault};
use crate::provision::rest::recipe::Recipe;

use super::TOY;

/// The fault of [`TOY`] with `from` replaced by `to`, and the text of the line that it points at.
fn fault(from: &str, to: &str) -> (RecipeFault, String) {
    assert_eq!(TOY.matches(from).count(), 1, "{from:?} must stand once in the recipe");
    let broken = TOY.replace(from, to);
    match Recipe::parse("toy.toml", &broken) {
        Err(RecipeError::At { file, line, column, fault }) => {
            assert_eq!(file, "toy.toml");
            let line = broken.lines().nth(line - 1).unwrap();
            (*fault, line.chars().skip(column - 1).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_unbroken_recipe_loads() {
    let recipe = Recipe::parse("toy.toml", TOY).unwrap();
    assert!(
        recipe.features.can_delete && !recipe.features.can_deactivate && !recipe.features.can_create_team
    );
}

#[test]
fn the_example_in_the_documentation_loads() {
    let text = include_str!("../../../../docs/recipes.md");
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let features = Recipe::parse("docs/recipes.md", example).unwrap().features;
    assert!(features.roles && features.teams && features.can_deactivate && features.can_delete);
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_name() {
    for (from, to, at, nearest) in [
        ("title = ", "titel = ", "", None),
        ("email_case", "emial_case", "", None),
        ("\n[operations.delete]", "\n[operations.delte]", "delte]", Some("delete")),
        ("headers = { X-Asked-By", "header = { X-Asked-By", "header = {", Some("headers")),
        ("kinds = [\"bearer\"", "kindz = [\"bearer\"", "", None),
        ("required = true, ", "requird = true, ", "requird", Some("required")),
    ] {
        let (fault, place) = fault(from, to);
        match fault {
            RecipeFault::UnknownKey { nearest: found, .. } => {
                assert_eq!(found.as_deref(), nearest);
                assert!(place.starts_with(at), "{place}");
            }
            // A needed key under another name is missing before it is unknown.
            RecipeFault::MissingKey(_) => assert_eq!(nearest, None, "{from}"),
            other => panic!("{from}: {other:?}"),
        }
    }
}

#[test]
fn an_unknown_variable_is_refused_at_its_text() {
    for (from, to, nearest) in [
        ("{{ wanted.username }}\", mail", "{{ wanted.user_name }}\", mail", Some("wanted.username")),
        ("GET /users/{{ account.id }}", "GET /users/{{ account.name }}", None),
        (
            "{{ wanted.attributes.department }}",
            "{{ wanted.attributes.departement }}",
            Some("wanted.attributes.department"),
        ),
        ("PUT /owner/{{ account.id }}", "PUT /owner/{{ random_password }}", None),
        ("item.level == 9", "itm.level == 9", None),
        ("PUT /groups/{{ group.name }}", "PUT /groups/{{ saved.group }}", None),
        ("{{ login.password }}", "{{ login }}", None),
    ] {
        let (fault, place) = fault(from, to);
        let RecipeFault::UnknownVariable { nearest: found, .. } = fault else { panic!("{from}: {fault:?}") };
        assert_eq!(found.as_deref(), nearest, "{to}");
        assert!(place.starts_with('"'), "{place}");
    }
}

#[test]
fn what_is_no_expression_jsonpath_or_status_is_refused() {
    let is = |from, to, wanted: fn(&RecipeFault) -> bool| {
        let (fault, _) = fault(from, to);
        assert!(wanted(&fault), "{to}: {fault:?}");
    };
    is("{{ login.password }}", "{{ login.password", |f| matches!(f, RecipeFault::Expression(_)));
    is("{{ login.password }}", "{{ login.password + }}", |f| matches!(f, RecipeFault::Expression(_)));
    is("{{ login.password }}", "{% for x in y %}", |f| matches!(f, RecipeFault::Expression(_)));
    is("\"$.mail\"", "\"$.mail[\"", |f| matches!(f, RecipeFault::JsonPath(_)));
    is("\"$.mail\"", "\"mail\"", |f| matches!(f, RecipeFault::JsonPath(_)));
    is("status = 402", "status = 4020", |f| matches!(f, RecipeFault::WrongType { .. }));
    is(
        "means = \"no_seats\"",
        "means = \"no_seat\"",
        |f| matches!(f, RecipeFault::UnknownValue { nearest: Some(n), .. } if n == "no_seats"),
    );
    is("required = true", "required = \"yes\"", |f| matches!(f, RecipeFault::WrongType { .. }));
    is("title = \"Toy\"", "title = \"Toy", |f| matches!(f, RecipeFault::Syntax(_)));
}

#[test]
fn a_recipe_can_call_nothing_but_paths_below_the_configured_url() {
    for request in [
        "GET http://elsewhere.test/users",
        "GET //elsewhere.test/users",
        "GET users",
        "GET",
        "FETCH /users",
        "GET /a/../b",
        "GET /a/./b",
        "GET /a//b",
        "GET /a?b=c",
        "GET /a#b",
        "GET /a%2fb",
        "GET /a\\\\b",
    ] {
        let (fault, _) = fault("GET /check", request);
        assert!(matches!(fault, RecipeFault::Request(_)), "{request}: {fault:?}");
    }
    for header in ["Host", "authorization", "Content-Length", "Cookie"] {
        let (fault, _) = fault("X-Asked-By", header);
        assert!(matches!(fault, RecipeFault::Request(_)), "{header}: {fault:?}");
    }
}

#[test]
fn a_declared_feature_without_its_operation_is_refused() {
    let cut = |key: &str| {
        let start = TOY.find(&format!("\n[operations.{key}]")).unwrap();
        let end = TOY[start + 1..].find("\n[").map_or(TOY.len(), |end| start + 1 + end);
        TOY.replace(&TOY[start..end], "")
    };
    for key in [
        "login",
        "check",
        "find_by_id",
        "find_by_email",
        "find_by_username",
        "list_privileged",
        "create",
        "set_role",
        "add_app_group",
        "remove_app_group",
        "add_permission",
        "remove_permission",
        "set_owner",
        "unset_owner",
    ] {
        match Recipe::parse("toy.toml", &cut(key)) {
            Err(RecipeError::At { fault, .. }) => match *fault {
                RecipeFault::MissingOperation { operation, .. } => assert_eq!(operation, key),
                fault => panic!("{key}: {fault:?}"),
            },
            other => panic!("{key}: {other:?}"),
        }
    }
    for key in ["update", "delete"] {
        assert!(Recipe::parse("toy.toml", &cut(key)).is_ok(), "{key}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (fault, _) =
        fault("{ request = \"GET /users\", items = \"$[*]\", keep", "{ request = \"GET /users\", keep");
    assert_eq!(fault, RecipeFault::MissingKey("items".to_owned()));
    let (fault, _) = super::loading::fault("items = \"$[*]\", keep", "items = \"$[*]\", paged = true, keep");
    assert_eq!(fault, RecipeFault::MissingKey("pagination".to_owned()));
    let (fault, _) = super::loading::fault("save = { token = ", "save = { tocken = ");
    assert_eq!(fault, RecipeFault::MissingKey("save.token".to_owned()));
    let (fault, _) = super::loading::fault("kinds = [\"role\", ", "kinds = [");
    assert!(matches!(fault, RecipeFault::Contradiction(_)), "{fault:?}");
}

#[test]
fn g4_whoever_deactivates_must_be_able_to_reactivate() {
    let deactivate =
        "\n[operations.deactivate]\nsteps = [{ request = \"PUT /users/{{ account.id }}/off\" }]\n";
    let (fault, place) = fault("\n[operations.delete]", &format!("{deactivate}\n[operations.delete]"));
    let RecipeFault::MissingOperation { operation, .. } = fault else { panic!("{fault:?}") };
    assert_eq!((operation, place.is_empty()), ("reactivate", false));
}

#[test]
fn only_what_lists_names_says_which_are_privileged() {
    let steps = "steps = [{ request = \"PUT /owner/{{ account.id }}\" }]";
    let (fault, _) = fault(steps, &format!("{steps}\nprivileged = \"$.admin\""));
    assert!(matches!(fault, RecipeFault::UnknownKey { .. }), "{fault:?}");
}
