//! What the server says of itself (RFC 7643, 5 to 7; RFC 7644, 4).

use serde_json::{Value as Json, json};

use super::bulk;
use super::definitions::{RESOURCE_TYPES, SCHEMAS};
use super::query::MAX_COUNT;
use super::schema::{Attribute, Mutability, ResourceType, Returned, Schema, Type, Uniqueness};

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// `/ServiceProviderConfig`. `base` is the URL that all paths follow, `max_body` the most bytes of a body.
#[must_use]
pub fn service_provider_config(base: &str, max_body: usize) -> Json {
    json!({
        "schemas": [CONFIG],
        "patch": { "supported": true },
        "bulk": { "supported": true, "maxOperations": bulk::MAX_OPERATIONS, "maxPayloadSize": max_body },
        "filter": { "supported": true, "maxResults": MAX_COUNT },
        "changePassword": { "supported": false },
        "sort": { "supported": true },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token that the operator of this server gave out (RFC 6750)",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

/// All of `/ResourceTypes`, with their ids.
#[must_use]
pub fn resource_types(base: &str) -> Vec<(&'static str, Json)> {
    RESOURCE_TYPES.iter().map(|resource| (resource.kind.name(), resource_type(resource, base))).collect()
}

fn resource_type(resource: &ResourceType, base: &str) -> Json {
    let name = resource.kind.name();
    let extensions: Vec<Json> = resource
        .extensions
        .iter()
        .map(|extension| json!({ "schema": extension.id, "required": false }))
        .collect();
    let mut described = json!({
        "schemas": [RESOURCE_TYPE],
        "id": name,
        "name": name,
        "endpoint": resource.endpoint,
        "description": resource.description,
        "schema": resource.schema.id,
    });
    if let Some(described) = described.as_object_mut() {
        if !extensions.is_empty() {
            described.insert("schemaExtensions".to_owned(), Json::Array(extensions));
        }
        let location = format!("{base}/ResourceTypes/{name}");
        described.insert("meta".to_owned(), json!({ "resourceType": "ResourceType", "location": location }));
    }
    described
}

/// All of `/Schemas`, with their ids.
#[must_use]
pub fn schemas(base: &str) -> Vec<(&'static str, Json)> {
    SCHEMAS.iter().map(|schema| (schema.id, one_schema(schema, base))).collect()
}

fn one_schema(schema: &Schema, base: &str) -> Json {
    json!({
        "schemas": [SCHEMA],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": schema.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "meta": { "resourceType": "Schema", "location": format!("{base}/Schemas/{}", schema.id) },
    })
}

fn attribute(attribute: &Attribute) -> Json {
    let kind = match attribute.kind {
        Type::String => "string",
        Type::Boolean => "boolean",
        Type::DateTime => "dateTime",
        Type::Reference => "reference",
        Type::Binary => "binary",
        Type::Complex => "complex",
    };
    let mutability = match attribute.mutability {
        Mutability::ReadOnly => "readOnly",
        Mutability::ReadWrite => "readWrite",
        Mutability::Immutable => "immutable",
        Mutability::WriteOnly => "writeOnly",
    };
    let returned = match attribute.returned {
        Returned::Always => "always",
        Returned::Never => "never",
        Returned::Default => "default",
        Returned::Request => "request",
    };
    let uniqueness = match attribute.uniqueness {
        Uniqueness::None => "none",
        Uniqueness::Server => "server",
    };
    let mut described = json!({
        "name": attribute.name,
        "type": kind,
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
        "caseExact": attribute.case_exact,
        "mutability": mutability,
        "returned": returned,
        "uniqueness": uniqueness,
    });
    if let Some(described) = described.as_object_mut() {
        let mut list = |name: &str, values: Json| described.insert(name.to_owned(), values);
        if !attribute.canonical_values.is_empty() {
            list("canonicalValues", json!(attribute.canonical_values));
        }
        if !attribute.reference_types.is_empty() {
            list("referenceTypes", json!(attribute.reference_types));
        }
        if !attribute.sub_attributes.is_empty() {
            list("subAttributes", attribute.sub_attributes.iter().map(self::attribute).collect());
        }
    }
    described
}
