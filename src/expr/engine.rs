//! The engine that every template and expression runs in: strict about what is undefined, and bounded.

use minijinja::{Environment, UndefinedBehavior};

/// Longer sources are refused when they are loaded: a chain of 20,000 attributes would overflow the stack.
pub const MAX_SOURCE: usize = 2048;
/// Longer output is refused; fuel does not count memory.
pub const MAX_OUTPUT: usize = 8192;
/// Deeper nesting is refused: evaluation and dropping recurse.
pub const MAX_DEPTH: usize = 64;
/// Steps that one evaluation may take.
pub const FUEL: u64 = 10_000;

/// An environment without loaders, globals or auto-escaping; each output goes through the encoding of the
/// place it goes to, and that is done outside.
#[must_use]
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for global in ["range", "dict", "debug", "namespace", "lipsum", "cycler", "joiner"] {
        environment.remove_global(global);
    }
    environment
}
