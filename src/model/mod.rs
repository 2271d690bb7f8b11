//! The nouns: plain records without I/O, shared by every stage.

pub mod account;
pub mod audit;
pub mod claims;
pub mod console;
pub mod email;
pub mod entitlements;
pub mod fault;
pub mod identity;
pub mod ids;
pub mod invite;
pub mod login;
pub mod member;
pub mod return_to;
pub mod scim;
pub mod secret;
pub mod session;
pub mod time;

pub use account::{Account, AccountProfile};
pub use audit::{AuditHead, AuditRecord, ChainId};
pub use claims::Claims;
pub use console::ConsoleRole;
pub use email::EmailAddress;
pub use entitlements::{Entitlements, Grant, GrantSource};
pub use fault::Fault;
pub use identity::Identity;
pub use ids::{AccountId, BrowserHash, ErrorId, IdpId, MemberId, RequestId, SessionHash, StateHash, Subject};
pub use login::LoginAttempt;
pub use member::{Member, MemberStatus, Origin};
pub use return_to::ReturnTo;
pub use secret::Secret;
pub use session::SessionRecord;
pub use time::UnixTime;
