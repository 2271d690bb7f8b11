//! x
pub struct DemoApp;
