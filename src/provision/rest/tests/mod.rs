//! The engine and the recipes against loopback servers.

mod answers;
pub(in crate::provision) mod fake;
mod gitea;
mod loading;
mod newer;
mod others;
mod paging;
mod schema;
mod signing_in;

/// A small application, for what the shipped recipes do not use.
const TOY: &str = r#"
name = "toy"
title = "Toy"

[application]
username_case = "insensitive"
email_case = "insensitive"

[entitlements]
kinds = ["role", "app_groups", "permissions", "owner"]
roles = [{ name = "user" }, { name = "root", privileged = true }]
privileged_app_groups = ["wheel*"]

[attributes]
username = { required = true, claims = ["preferred_username"], shape = "username" }
email = { claims = ["email"], shape = "email" }
department = {}

[authentication]
kinds = ["bearer", "basic", "header", "oauth2", "login"]

[[errors]]
status = 402
means = "no_seats"

[account]
id = "$.id"
username = "$.name"
email = "$.mail"
active = "$.enabled"
role = { path = "$.level", map = { 0 = "user", 9 = "root" } }
app_groups = "$.groups[*]"
permissions = "$.may[*]"
owner = { path = "$.owner", map = { yes = true, no = false } }
attributes = { department = "$.department" }

[operations.login]
steps = [{ request = "POST /login", form = { user = "{{ login.username }}", password = "{{ login.password }}" }, save = { token = "$.token", expires_in = "$.expires_in" } }]

[operations.check]
steps = [{ request = "GET /check", headers = { X-Asked-By = "narthex" }, save = { version = "$.version", own_account = "$.me" } }]

[operations.find_by_id]
steps = [{ request = "GET /users/{{ account.id }}" }]

[operations.find_by_email]
steps = [{ request = "GET /users", query = { mail = "{{ wanted.email }}" }, items = "$[*]" }]

[operations.find_by_username]
steps = [{ request = "GET /users/by-name/{{ wanted.username }}" }]

[operations.list_privileged]
steps = [{ request = "GET /users", items = "$[*]", keep = "item.level == 9" }]

[operations.create]
steps = [
    { request = "POST /users", json = { name = "{{ wanted.username }}", mail = "{{ wanted.email }}", about = { department = "{{ wanted.attributes.department }}", note = "made for {{ wanted.username }}" }, tags = ["{{ wanted.email }}", "sso"], level = 0, enabled = true, password = "{{ random_password }}" } },
]

[operations.update]
steps = [{ request = "PATCH /users/{{ account.id }}", headers = { X-Mail = "{{ wanted.email }}" }, json = { mail = "{{ wanted.email }}" } }]

[operations.set_role]
steps = [{ request = "PUT /users/{{ account.id }}/level/{{ role.name }}" }]

[operations.add_app_group]
steps = [{ request = "PUT /groups/{{ group.name }}/members/{{ account.id }}" }]

[operations.remove_app_group]
steps = [{ request = "DELETE /groups/{{ group.name }}/members/{{ account.id }}" }]

[operations.add_permission]
steps = [{ request = "PUT /users/{{ account.id }}/may/{{ permission.name }}" }]

[operations.remove_permission]
steps = [{ request = "DELETE /users/{{ account.id }}/may/{{ permission.name }}" }]

[operations.set_owner]
steps = [{ request = "PUT /owner/{{ account.id }}" }]

[operations.unset_owner]
steps = [{ request = "DELETE /owner/{{ account.id }}" }]

[operations.delete]
steps = [{ request = "DELETE /users/{{ account.id }}" }]
"#;
