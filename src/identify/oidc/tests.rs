//! Sign-ins against a provider that can be told to misbehave.
