//! The admin API in process, as its callers see it; every answer is held against the document.

mod cases;
mod console;
mod document;
mod erasing;
mod invites;
mod lists;
mod members;
mod permissions;
mod refusals;
mod server;
mod settings;
mod slow;

use server::Server;
