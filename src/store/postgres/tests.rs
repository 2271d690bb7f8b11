//! What only a store on a server can do wrong.
