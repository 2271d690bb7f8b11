//! The admin API in process, as its callers see it; every answer is held against the document.

mod cases;
mod document;
mod invites;
mod lists;
mod members;
mod permissions;
mod server;
mod settings;

use server::Server;
