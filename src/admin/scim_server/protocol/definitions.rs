//! The table: which attributes users and groups have (RFC 7643, 3.1, 4.1, 4.2 and 4.3).

use super::schema::{Attribute, ResourceType, Schema};
use crate::model::scim::ScimKind;

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// All resource types, in the order in which they are listed.
pub const RESOURCE_TYPES: [&ResourceType; 2] = [&USERS, &GROUPS];

/// All schemas of resources.
pub const SCHEMAS: [&Schema; 3] = [&USER_SCHEMA, &GROUP_SCHEMA, &ENTERPRISE_SCHEMA];

pub static USERS: ResourceType = ResourceType {
    kind: ScimKind::User,
    endpoint: "/Users",
    description: "A person",
    schema: &USER_SCHEMA,
    extensions: &[&ENTERPRISE_SCHEMA],
    common: COMMON,
};

pub static GROUPS: ResourceType = ResourceType {
    kind: ScimKind::Group,
    endpoint: "/Groups",
    description: "A group of people",
    schema: &GROUP_SCHEMA,
    extensions: &[],
    common: COMMON,
};

/// The resource type of this kind.
pub fn resource_type(kind: ScimKind) -> &'static ResourceType {
    match kind {
        ScimKind::User => &USERS,
        ScimKind::Group => &GROUPS,
    }
}

const COMMON: &[Attribute] = &[
    Attribute::text("schemas", "The schemas whose attributes are here").exact().many().required().always(),
    Attribute::text("id", "Made by this server").exact().read_only().unique().always(),
    Attribute::text("externalId", "The client's own id of this resource").exact(),
    Attribute::complex(
        "meta",
        &[
            Attribute::text("resourceType", "User or Group").exact().read_only(),
            Attribute::date_time("created", "When it was made").read_only(),
            Attribute::date_time("lastModified", "When it was changed last").read_only(),
            Attribute::reference("location", &["uri"], "Its URI").read_only(),
            Attribute::text("version", "Its entity tag").exact().read_only(),
        ],
        "What this server knows of the resource",
    )
    .read_only(),
];

const WORK_HOME: &[&str] = &["work", "home", "other"];
const DISPLAY: Attribute = Attribute::text("display", "A name for people to read");
const TYPE: Attribute = Attribute::text("type", "What the value is used for");
const PRIMARY: Attribute = Attribute::boolean("primary", "Whether this value is preferred; at most one is");

pub static USER_SCHEMA: Schema = Schema {
    id: USER,
    name: "User",
    description: "A person with an account",
    attributes: &[
        Attribute::text("userName", "The name that identifies the person; unique without regard to case")
            .required()
            .unique(),
        Attribute::complex(
            "name",
            &[
                Attribute::text("formatted", "The whole name"),
                Attribute::text("familyName", "The family name"),
                Attribute::text("givenName", "The given name"),
                Attribute::text("middleName", "Middle names"),
                Attribute::text("honorificPrefix", "What stands before the name, such as a title"),
                Attribute::text("honorificSuffix", "What stands after the name"),
            ],
            "The parts of the person's name",
        ),
        Attribute::text("displayName", "The name that is shown"),
        Attribute::text("nickName", "The casual name"),
        Attribute::reference("profileUrl", &["external"], "The person's page"),
        Attribute::text("title", "The person's title, such as Vice President"),
        Attribute::text("userType", "The relation to the organisation, such as Employee"),
        Attribute::text("preferredLanguage", "Languages, as in Accept-Language"),
        Attribute::text("locale", "Where the person is, for forms of dates and numbers"),
        Attribute::text("timezone", "The time zone by its Olson name"),
        Attribute::boolean("active", "Whether the account may be used; only true does"),
        Attribute::text("password", "Taken and thrown away: people sign in at the identity provider")
            .secret(),
        Attribute::complex(
            "emails",
            &[Attribute::text("value", "The address"), DISPLAY, TYPE.canonical(WORK_HOME), PRIMARY],
            "E-mail addresses",
        )
        .many(),
        Attribute::complex(
            "phoneNumbers",
            &[
                Attribute::text("value", "The number"),
                DISPLAY,
                TYPE.canonical(&["work", "home", "mobile", "fax", "pager", "other"]),
                PRIMARY,
            ],
            "Telephone numbers",
        )
        .many(),
        Attribute::complex(
            "ims",
            &[
                Attribute::text("value", "The address"),
                DISPLAY,
                TYPE.canonical(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
                PRIMARY,
            ],
            "Addresses for instant messages",
        )
        .many(),
        Attribute::complex(
            "photos",
            &[
                Attribute::reference("value", &["external"], "The picture's URI"),
                DISPLAY,
                TYPE.canonical(&["photo", "thumbnail"]),
                PRIMARY,
            ],
            "Pictures of the person",
        )
        .many(),
        Attribute::complex(
            "addresses",
            &[
                Attribute::text("formatted", "The whole address"),
                Attribute::text("streetAddress", "Street and number"),
                Attribute::text("locality", "City"),
                Attribute::text("region", "State or region"),
                Attribute::text("postalCode", "Postal code"),
                Attribute::text("country", "Country, as in ISO 3166-1 alpha 2"),
                TYPE.canonical(WORK_HOME),
                PRIMARY,
            ],
            "Postal addresses",
        )
        .many(),
        Attribute::complex(
            "groups",
            &[
                Attribute::text("value", "The group's id").exact().read_only(),
                Attribute::reference("$ref", &["Group"], "The group's URI").read_only(),
                Attribute::text("display", "The group's displayName").read_only(),
                Attribute::text("type", "How the person belongs to it").canonical(&["direct"]).read_only(),
            ],
            "The groups that the person is in; changed through the groups",
        )
        .many()
        .read_only(),
        Attribute::complex(
            "entitlements",
            &[Attribute::text("value", "What the person may have"), DISPLAY, TYPE, PRIMARY],
            "Permissions of the application",
        )
        .many(),
        Attribute::complex(
            "roles",
            &[Attribute::text("value", "The role's name"), DISPLAY, TYPE, PRIMARY],
            "Roles in the application; the primary one, else the first, counts",
        )
        .many(),
        Attribute::complex(
            "x509Certificates",
            &[Attribute::binary("value", "The certificate, DER in base64"), DISPLAY, TYPE, PRIMARY],
            "Certificates of the person",
        )
        .many(),
    ],
};

pub static GROUP_SCHEMA: Schema = Schema {
    id: GROUP,
    name: "Group",
    description: "A group of people",
    attributes: &[
        Attribute::text("displayName", "The group's name").required(),
        Attribute::complex(
            "members",
            &[
                Attribute::text("value", "The user's id").exact().required().immutable(),
                Attribute::reference("$ref", &["User"], "The user's URI").immutable(),
                Attribute::text("type", "What the member is").canonical(&["User"]).immutable(),
            ],
            "Who is in the group; users only, since nesting is not expanded",
        )
        .many(),
    ],
};

pub static ENTERPRISE_SCHEMA: Schema = Schema {
    id: ENTERPRISE,
    name: "EnterpriseUser",
    description: "What an organisation knows of its people",
    attributes: &[
        Attribute::text("employeeNumber", "The number that the organisation gave the person"),
        Attribute::text("costCenter", "The cost centre"),
        Attribute::text("organization", "The organisation"),
        Attribute::text("division", "The division"),
        Attribute::text("department", "The department"),
        Attribute::complex(
            "manager",
            &[
                Attribute::text("value", "The manager's id").exact(),
                Attribute::reference("$ref", &["User"], "The manager's URI"),
                Attribute::text("displayName", "The manager's name").read_only(),
            ],
            "The person's manager",
        ),
    ],
};
