//! The application's own tables: users, roles, teams.

use std::collections::BTreeMap;

use serde::Serialize;

/// A row of the user table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub id: u64,
    pub username: String,
    pub email: String,
    pub name: String,
    /// One of [`ROLES`].
    pub role: String,
    /// A deactivated account cannot be used.
    pub active: bool,
}

/// The application-wide roles, the last one privileged.
pub const ROLES: [&str; 3] = ["user", "editor", "admin"];
/// The roles that a member of a team can have.
pub const TEAM_ROLES: [&str; 2] = ["member", "lead"];

/// A team and its members, by user id, each with a role in the team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    pub id: u64,
    pub name: String,
    pub members: BTreeMap<u64, String>,
}

/// Why the application does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    #[error("the username {0:?} is taken")]
    UsernameTaken(String),
    #[error("the e-mail {0:?} is taken")]
    EmailTaken(String),
    #[error("there is a team {0:?} already")]
    TeamTaken(String),
    #[error("user {user} is in team {team} already")]
    AlreadyInTeam { user: u64, team: u64 },
    #[error("there is no such {0}")]
    Unknown(&'static str),
    #[error("{field} {value:?} is not allowed: {why}")]
    Invalid { field: &'static str, value: String, why: &'static str },
}

/// What to make of a user.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub username: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub role: Option<String>,
    pub active: Option<bool>,
}

/// All tables. Names and addresses are compared without case (ASCII).
#[derive(Debug)]
pub struct Directory {
    users: BTreeMap<u64, User>,
    teams: BTreeMap<u64, Team>,
    last_id: u64,
    last_team: u64,
}

/// More users than this and the application says that it is full.
const MAX_ROWS: usize = 100_000;

impl Directory {
    /// Some years of use: an administrator (id 1, whose API token narthex has), and people who were there
    /// before single sign-on.
    pub(super) fn seeded() -> Self {
        let mut directory =
            Self { users: BTreeMap::new(), teams: BTreeMap::new(), last_id: 0, last_team: 10 };
        for (username, name, role, active) in [
            ("root", "Administrator", "admin", true),
            ("carol", "Carol Example", "user", true),
            ("dave", "Dave Example", "user", false),
        ] {
            directory.last_id = if username == "root" { 0 } else { directory.last_id.max(1000) };
            let change = UserChange {
                username: Some(username.to_owned()),
                email: Some(format!("{username}@example.com")),
                name: Some(name.to_owned()),
                role: Some(role.to_owned()),
                active: Some(active),
            };
            // The rows above differ in name and address, so none is refused.
            let _seeded = directory.create(change);
        }
        for team in ["readers", "developers", "support"] {
            let _seeded = directory.create_team(team);
        }
        directory
    }

    /// In the order of their ids.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    pub fn teams(&self) -> impl Iterator<Item = &Team> {
        self.teams.values()
    }

    pub fn user(&self, id: u64) -> Result<&User, Rule> {
        self.users.get(&id).ok_or(Rule::Unknown("user"))
    }

    pub fn by_username(&self, username: &str) -> Option<&User> {
        self.users.values().find(|user| user.username.eq_ignore_ascii_case(username))
    }

    pub fn team(&self, id: u64) -> Result<&Team, Rule> {
        self.teams.get(&id).ok_or(Rule::Unknown("team"))
    }

    pub fn team_named(&self, name: &str) -> Option<&Team> {
        self.teams.values().find(|team| team.name == name)
    }

    /// The teams of a user with their role in each, by name.
    pub fn teams_of(&self, id: u64) -> Vec<(&Team, &str)> {
        self.teams.values().filter_map(|team| Some((team, team.members.get(&id)?.as_str()))).collect()
    }

    /// Username and e-mail are needed; the role is the first of [`ROLES`] unless said.
    pub fn create(&mut self, wanted: UserChange) -> Result<&User, Rule> {
        if self.users.len() >= MAX_ROWS {
            let value = self.users.len().to_string();
            return Err(Rule::Invalid { field: "users", value, why: "the table is full" });
        }
        let id = self.last_id + 1;
        let empty = User {
            id,
            username: String::new(),
            email: String::new(),
            name: String::new(),
            role: "user".to_owned(),
            active: true,
        };
        let user = self.checked(empty, wanted)?;
        self.last_id = id;
        Ok(self.users.entry(id).insert_entry(user).into_mut())
    }

    pub fn update(&mut self, id: u64, change: UserChange) -> Result<&User, Rule> {
        let user = self.checked(self.user(id)?.clone(), change)?;
        Ok(self.users.entry(id).insert_entry(user).into_mut())
    }

    /// Deletes the user; gone from all teams as well.
    pub fn delete(&mut self, id: u64) -> Result<(), Rule> {
        self.users.remove(&id).ok_or(Rule::Unknown("user"))?;
        for team in self.teams.values_mut() {
            team.members.remove(&id);
        }
        Ok(())
    }

    fn checked(&self, mut user: User, change: UserChange) -> Result<User, Rule> {
        user.username = change.username.unwrap_or(user.username);
        user.email = change.email.unwrap_or(user.email);
        user.name = change.name.unwrap_or(user.name);
        user.role = change.role.unwrap_or(user.role);
        user.active = change.active.unwrap_or(user.active);
        let named = (1..=40).contains(&user.username.len())
            && user.username.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !named {
            let why = "1 to 40 of letters, digits, dot, underscore and hyphen";
            return Err(Rule::Invalid { field: "username", value: user.username, why });
        }
        if user.email.len() > 254 || !user.email.contains('@') {
            return Err(Rule::Invalid { field: "email", value: user.email, why: "an e-mail address" });
        }
        if user.name.len() > 100 || user.name.chars().any(char::is_control) {
            return Err(Rule::Invalid {
                field: "name",
                value: user.name,
                why: "at most 100 bytes, no controls",
            });
        }
        if !ROLES.contains(&user.role.as_str()) {
            return Err(Rule::Invalid { field: "role", value: user.role, why: "user, editor or admin" });
        }
        for other in self.users.values().filter(|other| other.id != user.id) {
            if other.username.eq_ignore_ascii_case(&user.username) {
                return Err(Rule::UsernameTaken(user.username));
            }
            if other.email.eq_ignore_ascii_case(&user.email) {
                return Err(Rule::EmailTaken(user.email));
            }
        }
        Ok(user)
    }

    pub fn create_team(&mut self, name: &str) -> Result<&Team, Rule> {
        if self.team_named(name).is_some() {
            return Err(Rule::TeamTaken(name.to_owned()));
        }
        let fits = (1..=60).contains(&name.len()) && !name.chars().any(char::is_control);
        if !fits || self.teams.len() >= MAX_ROWS {
            let why = "1 to 60 bytes, no controls";
            return Err(Rule::Invalid { field: "name", value: name.to_owned(), why });
        }
        self.last_team += 1;
        let team = Team { id: self.last_team, name: name.to_owned(), members: BTreeMap::new() };
        Ok(self.teams.entry(team.id).insert_entry(team).into_mut())
    }

    /// Puts the user into the team. `again`: one who is there already only gets the role.
    pub fn join(&mut self, team: u64, user: u64, role: &str, again: bool) -> Result<(), Rule> {
        self.user(user)?;
        if !TEAM_ROLES.contains(&role) {
            return Err(Rule::Invalid { field: "role", value: role.to_owned(), why: "member or lead" });
        }
        let row = self.teams.get_mut(&team).ok_or(Rule::Unknown("team"))?;
        if !again && row.members.contains_key(&user) {
            return Err(Rule::AlreadyInTeam { user, team });
        }
        row.members.insert(user, role.to_owned());
        Ok(())
    }

    pub fn leave(&mut self, team: u64, user: u64) -> Result<(), Rule> {
        let row = self.teams.get_mut(&team).ok_or(Rule::Unknown("team"))?;
        row.members.remove(&user).map(|_| ()).ok_or(Rule::Unknown("membership"))
    }
}
