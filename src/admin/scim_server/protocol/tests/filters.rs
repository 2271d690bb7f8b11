//! Filters: what they mean, and which are none.

use serde_json::json;

use super::super::definitions::{GROUPS, USERS};
use super::super::error::ScimError;
use super::super::filter::{Filter, PatchPath};
use super::super::matching::{Matcher, Narrow};
use super::super::query::Query;
use super::super::sorting::{SortKey, Sorting};
use super::{ada, engineers};

fn holds(filter: &str) -> bool {
    let mut user = ada();
    user.insert("id".to_owned(), json!("2819"));
    user.insert("meta".to_owned(), json!({ "lastModified": "2026-01-31T12:00:00Z", "resourceType": "User" }));
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    Matcher::new(&filter, &USERS).unwrap_or_else(|error| panic!("{filter:?}: {error}")).matches(&user)
}

#[test]
fn each_operator_compares() {
    for (filter, expected) in [
        (r#"userName eq "ada@EXAMPLE.com""#, true),
        (r#"userName eq "ada""#, false),
        (r#"userName ne "bob""#, true),
        (r#"userName ne "ADA@example.com""#, false),
        (r#"nickName ne "x""#, true),
        (r#"name.familyName co "love""#, true),
        (r#"name.familyName co "hate""#, false),
        (r#"userName sw "ADA""#, true),
        (r#"userName sw "da""#, false),
        (r#"userName ew "EXAMPLE.COM""#, true),
        (r#"userName ew "ada""#, false),
        ("title pr", true),
        ("nickName pr", false),
        ("name pr", true),
        ("emails pr", true),
        (r#"displayName gt "Aaron""#, true),
        (r#"displayName gt "ada""#, false),
        (r#"displayName ge "ada""#, true),
        (r#"displayName lt "bob""#, true),
        (r#"displayName lt "Ada""#, false),
        (r#"displayName le "Ada""#, true),
        (r#"meta.lastModified gt "2026-01-31T12:30:00+01:00""#, true),
        (r#"meta.lastModified gt "2026-01-31T12:00:00Z""#, false),
        (r#"meta.lastModified ge "2026-01-31T12:00:00.000Z""#, true),
        (r#"meta.lastModified eq "2026-01-31T13:00:00+01:00""#, true),
        (r#"meta.lastModified lt "2027-01-01T00:00:00Z""#, true),
        ("active eq true", true),
        ("active eq false", false),
        ("active ne false", true),
        (r#"active eq "True""#, true),
        ("active eq False", false),
        ("nickName eq null", true),
        ("title eq null", false),
        ("title ne null", true),
    ] {
        assert_eq!(holds(filter), expected, "{filter}");
    }
}

#[test]
fn external_id_and_id_are_compared_by_case_and_user_name_is_not() {
    assert!(holds(r#"externalId eq "701984" and id eq "2819""#));
    let mut group = engineers();
    group.insert("externalId".to_owned(), json!("Abc"));
    let matches = |text: &str| Matcher::new(&Filter::parse(text).unwrap(), &GROUPS).unwrap().matches(&group);
    assert!(matches(r#"externalId eq "Abc""#));
    assert!(!matches(r#"externalId eq "abc""#));
    assert!(matches(r#"displayName eq "ENGINEERS""#));
}

#[test]
fn not_binds_before_and_and_and_before_or() {
    for (filter, expected) in [
        (r"title pr or nickName pr and nickName pr", true),
        (r"(title pr or nickName pr) and nickName pr", false),
        (r"not (nickName pr) and title pr", true),
        (r"not (nickName pr or title pr)", false),
        (r"not(nickName pr)and(title pr)", true),
        (r#"NOT (nickName PR) AND userName EQ "ada@example.com""#, true),
        (r#"userName eq "x" or userName eq "ada@example.com""#, true),
        (r"((((title pr))))", true),
    ] {
        assert_eq!(holds(filter), expected, "{filter}");
    }
}

#[test]
fn one_of_several_values_is_enough_and_brackets_ask_for_one_that_has_all() {
    for (filter, expected) in [
        (r#"emails co "home.example""#, true),
        (r#"emails.value eq "ada@home.example""#, true),
        (r#"emails.type eq "home" and emails.primary eq true"#, true),
        (r#"emails[type eq "home" and primary eq true]"#, false),
        (r#"emails[type eq "work" and value co "@example.com"]"#, true),
        (r#"emails[not (type eq "work")]"#, true),
        (r#"emails[type eq "fax"] or title pr"#, true),
        (r#"title pr and emails[type eq "work"]"#, true),
    ] {
        assert_eq!(holds(filter), expected, "{filter}");
    }
}

#[test]
fn names_may_carry_their_urn_and_any_case() {
    for filter in [
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ada""#,
        r#"USERNAME sw "ada""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "engines""#,
        r#"URN:ietf:params:scim:schemas:extension:enterprise:2.0:user:manager.value eq "m1""#,
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
        r#"urn:ietf:params:scim:schemas:core:2.0:User:emails[type eq "work"]"#,
    ] {
        assert!(holds(filter), "{filter}");
    }
}

#[test]
fn strings_may_hold_what_looks_like_a_filter() {
    assert!(!holds(r#"userName eq "x\" or userName pr or userName eq \"\\""#));
    assert!(!holds(r#"userName eq ") or (title pr""#));
    assert!(!holds(r#"emails[value eq "]"]"#));
    assert!(!holds("userName eq \"\\u0041dA]\""));
}

#[test]
fn what_is_no_filter_is_refused() {
    let long = format!("userName eq \"{}\"", "a".repeat(20_000));
    let deep = format!("{}title pr{}", "(".repeat(40), ")".repeat(40));
    let many = vec!["title pr"; 300].join(" or ");
    for filter in [
        "",
        "userName",
        "userName eq",
        "userName eq ",
        "userName eq ada",
        "userName eq \"ada",
        "userName is \"ada\"",
        "userName eq \"a\" and",
        "userName eq \"a\" nor title pr",
        "(userName eq \"a\"",
        "userName eq \"a\")",
        "emails[type eq \"work\"",
        "emails[type eq \"work\"].value eq \"x\"",
        "emails[name[x pr] pr]",
        "not title pr",
        "and title pr",
        "\"a\" eq userName",
        "userName eq {}",
        "userName eq [\"a\"]",
        "userName eq 'a'",
        &long,
        &deep,
        &many,
    ] {
        let parsed = Filter::parse(filter);
        assert!(matches!(parsed, Err(ScimError::InvalidFilter(_))), "{filter}: {parsed:?}");
    }
}

#[test]
fn a_comparison_must_fit_the_attributes_type() {
    for filter in [
        "nothing eq \"a\"",
        "name.nothing pr",
        "userName eq 5",
        "userName eq true",
        "name eq \"Ada\"",
        "active gt true",
        "active eq \"maybe\"",
        "active co \"t\"",
        "meta.created co \"2026\"",
        "meta.created gt \"yesterday\"",
        "x509Certificates.value sw \"MII\"",
        "userName gt null",
        "userName[value eq \"a\"]",
        "emails[colour eq \"red\"]",
        "urn:example:other:userName pr",
    ] {
        let bound = Matcher::new(&Filter::parse(filter).unwrap(), &USERS);
        assert!(matches!(bound, Err(ScimError::InvalidFilter(_))), "{filter}: {bound:?}");
    }
}

#[test]
fn over_several_types_an_attribute_that_one_lacks_has_no_value() {
    let members = Filter::parse("members pr").unwrap();
    assert!(!Matcher::lenient(&members, &USERS).unwrap().matches(&ada()));
    assert!(Matcher::lenient(&members, &GROUPS).unwrap().matches(&engineers()));
    let not = Filter::parse(r#"members.value ne "x""#).unwrap();
    assert!(Matcher::lenient(&not, &USERS).unwrap().matches(&ada()));
}

#[test]
fn an_index_serves_what_is_compared_with_eq() {
    let narrow = |text: &str| Matcher::new(&Filter::parse(text).unwrap(), &USERS).unwrap().narrow();
    assert_eq!(narrow(r#"userName eq "ADA""#), Some(Narrow::UserName("ada".to_owned())));
    assert_eq!(narrow(r#"title pr and externalId eq "A""#), Some(Narrow::ExternalId("A".to_owned())));
    assert_eq!(narrow(r#"groups.value eq "g""#), Some(Narrow::InGroup("g".to_owned())));
    assert_eq!(narrow(r#"groups[value eq "g"]"#), Some(Narrow::InGroup("g".to_owned())));
    for wide in [
        r#"userName eq "a" or title pr"#,
        r#"not (userName eq "a")"#,
        r#"userName ne "a""#,
        r#"userName sw "a""#,
        r#"groups[value ne "g"]"#,
        r#"title eq "x""#,
    ] {
        assert_eq!(narrow(wide), None, "{wide}");
    }
}

#[test]
fn a_patch_path_is_a_name_with_at_most_one_filter() {
    let parsed = PatchPath::parse(r#"emails[type eq "work"].value"#).unwrap();
    assert_eq!((parsed.path.as_str(), parsed.sub.as_deref()), ("emails", Some("value")));
    assert!(parsed.filter.is_some());
    for path in ["", ".", "emails]", "emails[type eq \"a\"]value", "emails.value x", "[type eq \"a\"]"] {
        assert!(matches!(PatchPath::parse(path), Err(ScimError::InvalidPath(_))), "{path}");
    }
    for path in ["emails[", "emails[]", "emails[type]", "emails[type eq \"work\""] {
        assert!(matches!(PatchPath::parse(path), Err(ScimError::InvalidFilter(_))), "{path}");
    }
}

#[test]
fn a_list_is_asked_for_within_limits() {
    let query = |text: &str| {
        let pairs: Vec<(&str, &str)> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
        Query::from_pairs(pairs.into_iter())
    };
    let plain = query("").unwrap();
    assert_eq!((plain.start, plain.count, plain.filter), (1, 100, None));
    for (text, start, count) in [
        ("startIndex=0", 1, 100),
        ("startIndex=-5&count=-1", 1, 0),
        ("count=0", 1, 0),
        ("startIndex=7&count=100000", 7, 500),
    ] {
        let query = query(text).unwrap();
        assert_eq!((query.start, query.count), (start, count), "{text}");
    }
    assert!(query("sortOrder=Descending").unwrap().descending);
    for wrong in ["count=many", "startIndex=x", "sortOrder=up", "attributes=a&excludedAttributes=b"] {
        assert!(matches!(query(wrong), Err(ScimError::InvalidValue(_))), "{wrong}");
    }
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "title pr", "startIndex": 2, "count": 3, "attributes": ["userName"], "sortBy": "userName",
    });
    let search = Query::from_json(&search).unwrap();
    assert_eq!((search.start, search.count, search.sort_by.as_deref()), (2, 3, Some("userName")));
    let no_search = Query::from_json(&json!({ "filter": "title pr" }));
    assert!(matches!(no_search, Err(ScimError::InvalidSyntax(_))), "{no_search:?}");
}

#[test]
fn the_primary_value_sorts_and_nothing_sorts_last() {
    let key = |by: &str| Sorting::new(&USERS, by).unwrap().key(&ada());
    assert_eq!(key("emails"), SortKey::Text("ada@example.com".to_owned()));
    assert_eq!(key("userName"), SortKey::Text("ada@example.com".to_owned()));
    assert_eq!(key("externalId"), SortKey::Text("701984".to_owned()));
    assert_eq!(key("nickName"), SortKey::None);
    assert!(SortKey::None > key("userName"));
    for by in ["name", "nothing", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] {
        assert!(matches!(Sorting::new(&USERS, by), Err(ScimError::InvalidPath(_))), "{by}");
    }
}
