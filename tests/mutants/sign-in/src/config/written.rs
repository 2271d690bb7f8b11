//! Stands for the configuration as it was written, which nothing here reads.

#[derive(Debug, Clone, Default)]
pub struct Written;
