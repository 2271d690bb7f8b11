//! Keys and signed messages for the tests, made at run time.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature as aws;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::{AlgorithmPolicy, Hash};
use super::canonical::canonical;
use super::keys::{DecryptionKey, SigningKey, VerifyingKey};
use super::xml::{DSIG, Tree};

/// Somebody with a key and a certificate.
pub struct Party {
    pub key_pem: String,
    pub certificate_pem: String,
    pub certificate: Vec<u8>,
    pub signing: SigningKey,
    pub verifying: VerifyingKey,
}

impl Party {
    pub fn new(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["idp.test".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let (key_pem, certificate_pem) = (key.serialize_pem(), certificate.pem());
        let signing = SigningKey::from_pem(key_pem.as_bytes(), certificate_pem.as_bytes()).unwrap();
        let verifying = VerifyingKey::from_certificate(certificate.der()).unwrap();
        Self { key_pem, certificate_pem, certificate: certificate.der().to_vec(), signing, verifying }
    }

    pub fn decryption(&self) -> DecryptionKey {
        DecryptionKey::from_pem(self.key_pem.as_bytes(), self.certificate_pem.as_bytes()).unwrap()
    }
}

pub static RSA: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_RSA_SHA256));
pub static OTHER_RSA: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_RSA_SHA256));
pub static P256: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_ECDSA_P256_SHA256));
pub static P384: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_ECDSA_P384_SHA384));
pub static P521: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_ECDSA_P521_SHA512));

pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
pub const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// A signature as an identity provider makes it, in which a test changes one thing before it is signed, so that
/// nothing but that one thing is wrong with it.
pub struct Recipe<'p> {
    pub party: &'p Party,
    /// The Signature; `{DIGEST}` and `{VALUE}` are filled in.
    pub template: String,
    /// What the content is canonicalised with.
    pub prefixes: Vec<String>,
    /// What SignedInfo is canonicalised with.
    pub own_prefixes: Vec<String>,
    pub digest: &'static str,
    pub sign: fn(&Party, &[u8]) -> Vec<u8>,
}

impl<'p> Recipe<'p> {
    pub fn new(party: &'p Party, id: &str) -> Self {
        let template = format!(
            "<ds:Signature xmlns:ds=\"{DSIG}\"><ds:SignedInfo>\
             <ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"/>\
             <ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"/>\
             <ds:Reference URI=\"#{id}\"><ds:Transforms>\
             <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
             <ds:Transform Algorithm=\"{EXCLUSIVE}\"/></ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{SHA256}\"/><ds:DigestValue>{{DIGEST}}</ds:DigestValue>\
             </ds:Reference></ds:SignedInfo><ds:SignatureValue>{{VALUE}}</ds:SignatureValue>\
             </ds:Signature>"
        );
        Self {
            party,
            template,
            prefixes: Vec::new(),
            own_prefixes: Vec::new(),
            digest: SHA256,
            sign: |party, message| super::sign::sign_bytes(message, &party.signing).unwrap().1,
        }
    }

    /// Changes the template; what is to be changed must be there.
    pub fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.template.contains(from), "{from}");
        self.template = self.template.replacen(from, to, 1);
        self
    }

    /// Signs the element of this ID in `xml`, where `{SIGNATURE}` stands in it.
    pub fn sign(&self, xml: &str, id: &str) -> String {
        let unsigned = xml.replacen("{SIGNATURE}", "", 1);
        let tree = Tree::parse(unsigned.as_bytes(), 1 << 20).unwrap();
        let element = tree.root().unwrap().elements().find(|node| node.attribute("ID") == Some(id)).unwrap();
        let hash = Hash::from_uri(self.digest, AlgorithmPolicy::Sha1Too).unwrap();
        let digest = hash.digest(&canonical(&tree, element, None, &self.prefixes).unwrap());
        let template = self.template.replacen("{DIGEST}", &STANDARD.encode(digest), 1);
        let half = xml.replacen("{SIGNATURE}", &template, 1);
        let tree = Tree::parse(half.as_bytes(), 1 << 20).unwrap();
        let mut nodes = tree.root().unwrap().elements();
        let signed_info = nodes
            .find(|node| {
                node.is(DSIG, "SignedInfo")
                    && node.parent().unwrap().parent().unwrap().attribute("ID") == Some(id)
            })
            .unwrap();
        let signed_info = canonical(&tree, signed_info, None, &self.own_prefixes).unwrap();
        half.replacen("{VALUE}", &STANDARD.encode((self.sign)(self.party, &signed_info)), 1)
    }
}

/// RSA over `message` in another way than PKCS#1 with SHA-256.
pub fn rsa_signature(party: &Party, encoding: &'static dyn aws::RsaEncoding, message: &[u8]) -> Vec<u8> {
    let pair = aws::RsaKeyPair::from_pkcs8(&pkcs8(party)).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

pub fn pkcs8(party: &Party) -> Vec<u8> {
    rcgen::KeyPair::from_pem(&party.key_pem).unwrap().serialize_der()
}
