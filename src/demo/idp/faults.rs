//! Wrong answers on demand, for the tests of those who must refuse them.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::keys::{Algorithm, KeyFailure, KeySet, SigningKey, encode};

/// Changes claims.
pub type ClaimsEdit = dyn Fn(&mut Map<String, Value>) + Send + Sync;

/// What is wrong with the ID tokens from now on.
#[derive(Clone, Default)]
pub enum Fault {
    #[default]
    None,
    /// The claims are changed before they are signed, correctly.
    Claims(Arc<ClaimsEdit>),
    /// One bit of the signature is another.
    Signature,
    /// Signed by a key that is not published, under the id of one that is.
    ForeignKey,
    /// `alg: none`, no signature.
    Unsigned,
    /// The token endpoint sends no ID token.
    Missing,
}

impl Fault {
    /// [`Fault::Claims`].
    pub fn claims(edit: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) -> Self {
        Self::Claims(Arc::new(edit))
    }

    /// The ID token as it goes out; `None` where it does not.
    pub(super) fn sign(
        &self,
        keys: &KeySet,
        mut claims: Map<String, Value>,
    ) -> Result<Option<String>, KeyFailure> {
        let key = keys.current();
        if let Self::Claims(edit) = self {
            edit(&mut claims);
        }
        let claims = Value::Object(claims);
        Ok(match self {
            Self::None | Self::Claims(_) => Some(key.sign(&key.header(), &claims)?),
            Self::Signature => {
                let token = key.sign(&key.header(), &claims)?;
                // The first character of the signature stands for six whole bits; the last might not.
                let (signed, signature) = token.rsplit_once('.').ok_or(KeyFailure)?;
                let rest = signature.get(1..).ok_or(KeyFailure)?;
                let first = if signature.starts_with('A') { 'B' } else { 'A' };
                Some(format!("{signed}.{first}{rest}"))
            }
            Self::ForeignKey => Some(SigningKey::generate(Algorithm::Es256)?.sign(&key.header(), &claims)?),
            Self::Unsigned => {
                let header = json!({ "alg": "none", "typ": "JWT" });
                Some(format!(
                    "{}.{}.",
                    encode(header.to_string().as_bytes()),
                    encode(claims.to_string().as_bytes())
                ))
            }
            Self::Missing => None,
        })
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Claims(_) => "Claims",
            Self::Signature => "Signature",
            Self::ForeignKey => "ForeignKey",
            Self::Unsigned => "Unsigned",
            Self::Missing => "Missing",
        })
    }
}
