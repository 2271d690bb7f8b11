"""Writes the realm that `install keycloak` imports: realm.py SECRETS.json > realm.json

SECRETS.json: {"clients": {client id: secret}, "users": {user name: password}}
"""
import json
import sys

LOOPBACK = [f"{s}://{h}" for s in ("http", "https") for h in ("127.0.0.1", "localhost", "[::1]")]
# For a loopback host Keycloak takes any port; ":*" it refuses as no URI.
REDIRECTS = [u + "/*" for u in LOOPBACK]

USERS = {
    # name: (e-mail, verified, groups, realm roles)
    "ada": ("ada@example.com", True, ["/engineers", "/admins/dba"], ["staff", "auditor"]),
    "bob": ("bob@example.com", True, ["/readers"], ["staff"]),
    "carol": ("carol@example.com", False, [], []),
    "mallory": ("mallory@evil.test", True, [], []),
}


def mapper(name, kind, **config):
    everywhere = {
        "id.token.claim": "true",
        "access.token.claim": "true",
        "userinfo.token.claim": "true",
        "introspection.token.claim": "true",
    }
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": everywhere | {k.replace("_", "."): v for k, v in config.items()},
    }


def client(client_id, secret, full_path):
    return {
        "clientId": client_id,
        "enabled": True,
        "protocol": "openid-connect",
        "clientAuthenticatorType": "client-secret",
        "secret": secret,
        "publicClient": False,
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "fullScopeAllowed": True,
        "redirectUris": REDIRECTS,
        "webOrigins": [],
        "attributes": {
            "post.logout.redirect.uris": "##".join(REDIRECTS),
            "backchannel.logout.session.required": "true",
        },
        "protocolMappers": [
            mapper("groups", "oidc-group-membership-mapper", claim_name="groups",
                   full_path="true" if full_path else "false"),
            mapper("realm roles", "oidc-usermodel-realm-role-mapper", claim_name="realm_access.roles",
                   jsonType_label="String", multivalued="true"),
        ],
    }


def user(name, password):
    email, verified, groups, roles = USERS[name]
    return {
        "username": name,
        "enabled": True,
        "email": email,
        "emailVerified": verified,
        # Without both, Keycloak shows a form that asks for them at sign-in.
        "firstName": name.capitalize(),
        "lastName": "Example",
        "credentials": [{"type": "password", "value": password, "temporary": False}],
        "groups": groups,
        "realmRoles": roles + ["default-roles-narthex"],
    }


def main():
    with open(sys.argv[1]) as f:
        secrets = json.load(f)
    json.dump({
        "realm": "narthex",
        "enabled": True,
        "sslRequired": "none",
        "registrationAllowed": False,
        "loginWithEmailAllowed": True,
        "bruteForceProtected": False,
        # The default costs a second of CPU for each sign-in on a small machine.
        "passwordPolicy": "hashAlgorithm(pbkdf2-sha256) and hashIterations(1000)",
        "roles": {"realm": [{"name": "staff"}, {"name": "auditor"}]},
        "groups": [
            {"name": "engineers"},
            {"name": "readers"},
            {"name": "admins", "subGroups": [{"name": "dba"}]},
        ],
        "clients": [
            client("narthex", secrets["clients"]["narthex"], full_path=True),
            client("narthex-flat", secrets["clients"]["narthex-flat"], full_path=False),
        ],
        "users": [user(name, secrets["users"][name]) for name in USERS],
    }, sys.stdout, indent=1)


main()
