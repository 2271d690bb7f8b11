//! Keys and signed messages for the tests, made at run time.

use std::sync::LazyLock;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature as aws;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::{AlgorithmPolicy, Hash};
use super::canonical::canonical;
use super::keys::{DecryptionKey, SigningKey, VerifyingKey};
use super::xml::{DSIG, SAML, Tree, XENC};

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
        let digest = hash.digest(&canonical(&tree, element, &[], &self.prefixes).unwrap());
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
        let signed_info = canonical(&tree, signed_info, &[], &self.own_prefixes).unwrap();
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

/// How an assertion is encrypted for a test.
pub struct Envelope {
    pub content: &'static str,
    /// The EncryptionMethod of the wrapped key.
    pub transport: String,
    pub oaep: &'static OaepAlgorithm,
    /// Where the wrapped key stands: in the KeyInfo, or beside the data.
    pub beside: bool,
    /// The padding's octets in front of its count (XML Encryption 1.1, 5.2.1: anything).
    pub filler: u8,
    /// Done to what was encrypted: content key, ciphertext with its IV.
    pub content_key: Option<Vec<u8>>,
    pub tamper: fn(&mut Vec<u8>),
}

pub const AES128_GCM: &str = "http://www.w3.org/2009/xmlenc11#aes128-gcm";
pub const AES256_GCM: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
pub const AES128_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
pub const AES256_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";
pub const OAEP_MGF1P: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";

impl Envelope {
    pub fn new(content: &'static str) -> Self {
        Self {
            content,
            transport: format!("<xenc:EncryptionMethod Algorithm=\"{OAEP_MGF1P}\"/>"),
            oaep: &OAEP_SHA1_MGF1SHA1,
            beside: false,
            filler: 7,
            content_key: None,
            tamper: |_| (),
        }
    }

    /// `plaintext` as an EncryptedAssertion for `party`.
    pub fn seal(&self, plaintext: &str, party: &Party) -> String {
        let (data, key) = (self.data(plaintext), self.key(party));
        let content = self.content;
        let (inside, beside) = if self.beside { ("", key.as_str()) } else { (key.as_str(), "") };
        format!(
            "<a:EncryptedAssertion xmlns:a=\"{SAML}\" xmlns:xenc=\"{XENC}\">\
             <xenc:EncryptedData Type=\"http://www.w3.org/2001/04/xmlenc#Element\">\
             <xenc:EncryptionMethod Algorithm=\"{content}\"/>\
             <ds:KeyInfo xmlns:ds=\"{DSIG}\">{inside}</ds:KeyInfo>\
             <xenc:CipherData><xenc:CipherValue>{data}</xenc:CipherValue></xenc:CipherData>\
             </xenc:EncryptedData>{beside}</a:EncryptedAssertion>"
        )
    }

    fn octets(&self) -> usize {
        if self.content.contains("128") { 16 } else { 32 }
    }

    pub fn key(&self, party: &Party) -> String {
        let public = PublicEncryptingKey::from_der(&public_der(party)).unwrap();
        let public = OaepPublicEncryptingKey::new(public).unwrap();
        let mut wrapped = vec![0; public.ciphertext_size()];
        let key = self.content_key.clone().unwrap_or_else(|| vec![5; self.octets()]);
        let wrapped = public.encrypt(self.oaep, &key, &mut wrapped, None).unwrap();
        let (transport, wrapped) = (&self.transport, STANDARD.encode(wrapped));
        format!(
            "<xenc:EncryptedKey>{transport}\
             <xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>"
        )
    }

    fn data(&self, plaintext: &str) -> String {
        let key = vec![5; self.octets()];
        let mut sealed = plaintext.as_bytes().to_vec();
        let mut out = if self.content.contains("gcm") {
            let algorithm = if self.octets() == 16 { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
            let key = LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap());
            let nonce = Nonce::assume_unique_for_key([3; 12]);
            key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).unwrap();
            [vec![3; 12], sealed].concat()
        } else {
            let count = 16 - sealed.len() % 16;
            sealed.extend(vec![self.filler; count - 1]);
            sealed.push(u8::try_from(count).unwrap());
            encrypt_blocks(&key, &mut sealed);
            [vec![9; 16], sealed].concat()
        };
        (self.tamper)(&mut out);
        STANDARD.encode(out)
    }
}

fn encrypt_blocks(key: &[u8], blocks: &mut [u8]) {
    let algorithm = if key.len() == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
    let key = EncryptingKey::cbc(UnboundCipherKey::new(algorithm, key).unwrap()).unwrap();
    let iv = EncryptionContext::Iv128(FixedLength::from(&[9; 16]));
    key.less_safe_encrypt(blocks, iv).unwrap();
}

fn public_der(party: &Party) -> Vec<u8> {
    use rcgen::PublicKeyData as _;
    rcgen::KeyPair::from_pem(&party.key_pem).unwrap().subject_public_key_info()
}

/// Whether `code` is the name of the error's variant in snake case, behind `prefix`.
pub fn is_coded_by_name(prefix: &str, error: &impl std::fmt::Debug, code: &str) -> bool {
    let debug = format!("{error:?}");
    let mut name = prefix.to_owned();
    for c in debug.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name == code
}
