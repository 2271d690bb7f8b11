//! The SAML gate and profile against messages that other implementations signed (tests/vectors/saml), and against
//! the xmlsec1 program's opinion of the same messages changed in thousands of ways.

mod cases;
mod differential;
mod mutate;
mod vectors;
