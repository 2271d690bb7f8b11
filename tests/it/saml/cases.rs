//! The vectors' manifest (`cases.toml`), and what narthex makes of a message under a case's settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use narthex::identify::saml::algorithm::AlgorithmPolicy;
use narthex::identify::saml::assertion::{Assertion, AssertionError, ResponseHead};
use narthex::identify::saml::gate::{Gate, GateError, Head, Opened, RequireSigned};
use narthex::identify::saml::keys::{DecryptionKey, VerifyingKey};
use narthex::identify::saml::profile::{self, Asked, Expected, Request};
use narthex::identify::saml::xml::XmlError;
use narthex::model::UnixTime;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;

const SKEW: Duration = Duration::from_mins(1);

pub struct Keys {
    pub verifying: Vec<VerifyingKey>,
    pub decryption: Vec<DecryptionKey>,
}

/// cases.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    pub now: String,
    pub idp: String,
    pub sp: String,
    pub acs: String,
    pub request: String,
    /// Who signed in, by the good ones.
    pub name_id: String,
    #[serde(rename = "case")]
    pub all: Vec<Case>,
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub file: String,
    pub about: String,
    /// The code of the refusal; without it, the message is a good one.
    pub error: Option<String>,
    /// Where the good one says another than all others; empty: none at all.
    pub name_id: Option<String>,
    /// Whether xmlsec1 takes its signatures for right.
    pub right: bool,
    #[serde(default = "idp")]
    pub keys: Vec<String>,
    #[serde(default = "either")]
    pub require_signed: String,
    #[serde(default)]
    pub allow_sha1: bool,
    #[serde(default)]
    pub unsolicited: bool,
    #[serde(default)]
    pub want_encrypted: bool,
    /// Whether the browser has a request in flight.
    #[serde(default = "yes")]
    pub requested: bool,
    #[serde(default)]
    pub force_authn: bool,
    #[serde(default)]
    pub context_classes: Vec<String>,
    #[serde(default = "sp")]
    pub decryption_keys: Vec<String>,
    pub now: Option<String>,
}

fn idp() -> Vec<String> {
    vec!["idp".to_owned()]
}

fn sp() -> Vec<String> {
    vec!["sp".to_owned()]
}

fn yes() -> bool {
    true
}

fn either() -> String {
    "either".to_owned()
}

impl Cases {
    /// Those of a folder.
    pub fn of(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("cases.toml")).unwrap();
        let mut cases: Self = toml::from_str(&text).unwrap();
        folder.clone_into(&mut cases.folder);
        cases
    }

    /// Those of the repository.
    pub fn kept() -> Self {
        Self::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/saml"))
    }

    pub fn message(&self, case: &Case) -> Vec<u8> {
        std::fs::read(self.folder.join(&case.file)).unwrap()
    }

    pub fn certificate_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// The keys that the case trusts, and those that it decrypts with.
    pub fn keys(&self, case: &Case) -> Result<Keys, String> {
        let verifying = case.keys.iter().map(|name| {
            let pem = std::fs::read(self.certificate_file(name)).unwrap();
            let der = CertificateDer::from_pem_slice(&pem).unwrap();
            VerifyingKey::from_certificate(&der).map_err(|error| error.code().to_owned())
        });
        let decryption = case.decryption_keys.iter().filter_map(|name| {
            // The repository keeps no private keys.
            let key = std::fs::read(self.folder.join(format!("{name}.key"))).ok()?;
            let certificate = std::fs::read(self.certificate_file(name)).unwrap();
            Some(DecryptionKey::from_pem(&key, &certificate).unwrap())
        });
        Ok(Keys { verifying: verifying.collect::<Result<_, _>>()?, decryption: decryption.collect() })
    }

    /// Who signed in by this message: the NameID (empty: nobody is named), or the code of the refusal.
    pub fn judge(&self, case: &Case, message: &[u8]) -> Result<String, String> {
        let keys = self.keys(case)?;
        match case.gate(&keys).open(message) {
            Ok(opened) => self.judge_assertion(case, &opened),
            // A refusal by the identity provider is told by its status.
            Err(GateError::NoAssertion(head)) => {
                let head_says = self.judge_head(case, &head);
                Err(head_says.err().unwrap_or_else(|| "no_assertion".to_owned()))
            }
            Err(error) => Err(of_gate(&error)),
        }
    }

    fn judge_head(&self, case: &Case, head: &Head) -> Result<ResponseHead, String> {
        let read = ResponseHead::parse(head.bytes(), head.bytes().len()).map_err(|e| of_assertion(&e))?;
        let checked = profile::check_response(&self.expected(case, head), &read);
        checked.map_err(|refused| refused.code().to_owned()).map(|()| read)
    }

    fn judge_assertion(&self, case: &Case, opened: &Opened) -> Result<String, String> {
        let head = self.judge_head(case, opened.response())?;
        let assertion = opened.assertion();
        let assertion = Assertion::parse(assertion, assertion.len()).map_err(|e| of_assertion(&e))?;
        let expected = self.expected(case, opened.response());
        let unbound = profile::check_unbound(&expected, &head, &assertion);
        let unbound = unbound.map_err(|refused| refused.code().to_owned())?;
        let request = Request { id: &self.request, begun_at: time(&self.now) };
        let asked = Asked {
            request: case.requested.then_some(request),
            force_authn: case.force_authn,
            context_classes: &case.context_classes,
            skew: SKEW,
        };
        let checked = profile::check_bound(unbound, &asked);
        let checked = checked.map_err(|refused| refused.code().to_owned())?;
        Ok(checked.name_id().map(|name_id| name_id.value.clone()).unwrap_or_default())
    }

    fn expected<'a>(&'a self, case: &Case, head: &Head) -> Expected<'a> {
        Expected {
            entity_id: &self.sp,
            acs_url: &self.acs,
            idp_entity_id: &self.idp,
            allow_unsolicited: case.unsolicited,
            response_signed: head.is_signed(),
            now: time(case.now.as_ref().unwrap_or(&self.now)),
            skew: SKEW,
            max_age: profile::MAX_AGE,
        }
    }
}

impl Case {
    /// The gate as the case sets it.
    pub fn gate<'k>(&self, keys: &'k Keys) -> Gate<'k> {
        Gate {
            keys: &keys.verifying,
            decryption_keys: &keys.decryption,
            require_signed: match self.require_signed.as_str() {
                "either" => RequireSigned::Either,
                "assertion" => RequireSigned::Assertion,
                "response" => RequireSigned::Response,
                "both" => RequireSigned::Both,
                other => panic!("{other}"),
            },
            want_encrypted: self.want_encrypted,
            policy: if self.allow_sha1 { AlgorithmPolicy::Sha1Too } else { AlgorithmPolicy::Sha2 },
        }
    }
}

/// The code, and where it stands for several things, which of them.
pub fn of_gate(error: &GateError) -> String {
    match error {
        GateError::Xml(inner) => format!("{}: {}", error.code(), of_xml(inner)),
        GateError::Encrypted(inner) => format!("{}: {}", error.code(), of_gate(inner)),
        other => other.code().to_owned(),
    }
}

fn of_assertion(error: &AssertionError) -> String {
    match error {
        AssertionError::Xml(inner) => format!("{}: {}", error.code(), of_xml(inner)),
        other => other.code().to_owned(),
    }
}

/// The variant's name, as a code is written.
fn of_xml(error: &XmlError) -> String {
    let shown = format!("{error:?}");
    let name = shown.chars().take_while(char::is_ascii_alphanumeric);
    let mut code = String::new();
    for c in name {
        if c.is_ascii_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.push(c.to_ascii_lowercase());
    }
    code
}

pub fn time(text: &str) -> UnixTime {
    UnixTime(text.parse::<jiff::Timestamp>().unwrap().as_second())
}
