//! Bulk requests: references and order.

use serde_json::{Value as Json, json};

use super::super::bulk::{Bulk, Deed, Outcome, response};
use super::super::error::ScimError;

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn parse(operations: Json) -> Result<Bulk, ScimError> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations,
    });
    let mut next = 0;
    Bulk::parse(&body, &mut || {
        next += 1;
        Ok(format!("id{next}"))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn post(path: &str, bulk_id: &str, data: Json) -> Json {
    json!({ "method": "POST", "path": path, "bulkId": bulk_id, "data": data })
}

#[test]
fn a_reference_becomes_the_id_that_will_be_and_its_maker_goes_first() {
    let bulk = parse(json!([
        post("/Groups", "g", json!({ "members": [{ "value": "bulkId:u", "$ref": "../Users/bulkId:u" }] })),
        post("/Users", "u", json!({ "userName": "bulkId:u" })),
        { "method": "PATCH", "path": "/Groups/bulkId:g", "data": {} },
    ]))
    .unwrap();
    let Ok(Deed::Create { id, data, .. }) = &bulk.operations[0].what else { panic!("{bulk:?}") };
    assert_eq!(id, "id1");
    assert_eq!(data["members"][0], json!({ "value": "id2", "$ref": "../Users/id2" }));
    let Ok(Deed::Create { data, .. }) = &bulk.operations[1].what else { panic!("{bulk:?}") };
    assert_eq!(data["userName"], "bulkId:u", "no id stands there");
    let Ok(Deed::Patch { id, .. }) = &bulk.operations[2].what else { panic!("{bulk:?}") };
    assert_eq!(id, "id1");
    assert_eq!(bulk.order(), [1, 0, 2]);
}

#[test]
fn a_circle_of_references_is_done_in_the_order_of_the_request() {
    let bulk = parse(json!([
        post("/Users", "a", json!({ "manager": { "value": "bulkId:b" } })),
        post("/Users", "b", json!({ "manager": { "value": "bulkId:a" } })),
        post("/Users", "c", json!({ "manager": { "value": "bulkId:c" } })),
    ]))
    .unwrap();
    let mut order = bulk.order();
    assert_eq!(order, [1, 0, 2]);
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn an_operation_that_cannot_be_tried_is_an_error_of_its_own() {
    let bulk = parse(json!([
        { "method": "POST", "path": "/Users", "data": {} },
        { "method": "GET", "path": "/Users/1" },
        { "method": "PUT", "path": "/Users" },
        { "method": "PUT", "path": "/Shoes/1" },
        { "method": "DELETE", "path": "/Users/bulkId:nobody" },
        { "method": "PUT", "path": "/Users/1", "data": { "manager": { "value": "bulkId:nobody" } } },
        { "method": "DELETE", "path": "/Users/1/2" },
        5,
        { "method": "DELETE", "path": "/Users/1" },
    ]))
    .unwrap();
    let fine: Vec<bool> = bulk.operations.iter().map(|one| one.what.is_ok()).collect();
    assert_eq!(fine, [false, false, false, false, false, false, false, false, true]);
    assert!(matches!(bulk.operations[4].what, Err(ScimError::InvalidValue(_))));
}

#[test]
fn a_request_of_a_wrong_form_is_refused() {
    let many = Json::Array(vec![json!({ "method": "DELETE", "path": "/Users/1" }); 1001]);
    assert!(matches!(parse(many), Err(ScimError::TooLarge(1000))));
    let twice = parse(json!([post("/Users", "a", json!({})), post("/Users", "a", json!({}))]));
    assert!(matches!(twice, Err(ScimError::InvalidSyntax(_))), "{twice:?}");
    for body in [json!([]), json!({ "Operations": [] }), json!({ "schemas": ["x"], "Operations": [] })] {
        let refused = Bulk::parse(&body, &mut || Ok(String::new()));
        assert!(matches!(refused, Err(ScimError::InvalidSyntax(_))), "{body}");
    }
}

#[test]
fn the_answer_keeps_the_order_and_tells_nothing_of_what_was_not_tried() {
    let bulk = parse(json!([
        post("/Users", "a", json!({})),
        { "method": "DELETE", "path": "/Users/1" },
        { "method": "DELETE", "path": "/Users/2" },
    ]))
    .unwrap();
    let done = Outcome {
        location: Some("/Users/id1".to_owned()),
        version: Some("W/\"1\"".to_owned()),
        result: Ok(201),
    };
    let failed = Outcome { location: None, version: None, result: Err(ScimError::VersionMismatch) };
    let answer = response(&bulk.operations, vec![Some(done), Some(failed), None]);
    assert_eq!(
        answer["Operations"][0],
        json!({ "method": "POST", "bulkId": "a", "location": "/Users/id1", "version": "W/\"1\"", "status": "201" })
    );
    assert_eq!(answer["Operations"][1]["status"], "412");
    assert_eq!(answer["Operations"][1]["response"]["status"], "412");
    assert_eq!(answer["Operations"].as_array().unwrap().len(), 2);
}
