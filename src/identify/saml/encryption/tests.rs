//! What is refused before any key is used, each with one thing wrong; and what the ciphers give.

use super::super::testing::{AES128_CBC, AES256_GCM, Envelope, OAEP_MGF1P, OTHER_RSA, RSA};
use super::super::xml::Tree;
use super::*;

const OAEP_11: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
const SHA512: &str = "http://www.w3.org/2001/04/xmlenc#sha512";

/// OAEP is another each time.
static SEALED: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| Envelope::new(AES256_GCM).seal("<x/>", &RSA));

fn read(xml: &str) -> Result<Sealed, DecryptionError> {
    let tree = Tree::parse(xml.as_bytes(), 1 << 20)?;
    Sealed::read(tree.root()?)
}

fn refused(from: &str, to: &str) -> DecryptionError {
    let good = &*SEALED;
    assert!(read(good).is_ok() && good.contains(from), "{from}");
    read(&good.replacen(from, to, 1)).err().unwrap()
}

/// A method of key transport, as it is said.
fn method(uri: &str, digest: Option<&str>, mask: Option<&str>) -> String {
    let digest = digest.map(|uri| format!("<ds:DigestMethod xmlns:ds=\"{DSIG}\" Algorithm=\"{uri}\"/>"));
    let mask = mask.map(|hash| format!("<m:MGF xmlns:m=\"{XENC11}\" Algorithm=\"{XENC11}mgf1{hash}\"/>"));
    format!(
        "<xenc:EncryptionMethod Algorithm=\"{uri}\">{}{}</xenc:EncryptionMethod>",
        digest.unwrap_or_default(),
        mask.unwrap_or_default()
    )
}

#[test]
fn oaep_is_read_in_the_pairs_that_are_offered() {
    let offered: [(String, &'static OaepAlgorithm); 9] = [
        (method(OAEP_MGF1P, None, None), &OAEP_SHA1_MGF1SHA1),
        (method(OAEP_MGF1P, Some(SHA1), None), &OAEP_SHA1_MGF1SHA1),
        (method(OAEP_11, None, None), &OAEP_SHA1_MGF1SHA1),
        (method(OAEP_11, Some(SHA1), Some("sha1")), &OAEP_SHA1_MGF1SHA1),
        (method(OAEP_11, None, Some("sha1")), &OAEP_SHA1_MGF1SHA1),
        (method(OAEP_11, Some(SHA256), Some("sha256")), &OAEP_SHA256_MGF1SHA256),
        (method(OAEP_11, Some(SHA384), Some("sha384")), &OAEP_SHA384_MGF1SHA384),
        (method(OAEP_11, Some(SHA512), Some("sha512")), &OAEP_SHA512_MGF1SHA512),
        // The mask in front of the digest.
        (
            method(OAEP_11, None, Some("sha256")).replace(
                "</xenc:EncryptionMethod>",
                &format!(
                    "<ds:DigestMethod xmlns:ds=\"{DSIG}\" Algorithm=\"{SHA256}\"/></xenc:EncryptionMethod>"
                ),
            ),
            &OAEP_SHA256_MGF1SHA256,
        ),
    ];
    for (transport, oaep) in offered {
        let xml =
            Envelope { transport: transport.clone(), oaep, ..Envelope::new(AES256_GCM) }.seal("<x/>", &RSA);
        let opened = read(&xml).unwrap().open(&[OTHER_RSA.decryption(), RSA.decryption()]);
        assert_eq!(opened, b"<x/>", "{transport}");
    }
}

#[test]
fn other_pairs_of_digest_and_mask_are_refused_by_name() {
    let good = method(OAEP_MGF1P, None, None).replace("></xenc:EncryptionMethod>", "/>");
    let default = "SHA-1, by default";
    let sha224 = "http://www.w3.org/2001/04/xmldsig-more#sha224";
    for (uri, digest, mask) in [
        // MGF1 with SHA-1 whatever the digest.
        (OAEP_MGF1P, Some(SHA256), None),
        (OAEP_MGF1P, Some(SHA256), Some("sha256")),
        (OAEP_11, Some(SHA256), None),
        (OAEP_11, None, Some("sha256")),
        (OAEP_11, Some(SHA512), Some("sha256")),
        (OAEP_11, Some(sha224), Some("sha224")),
        (OAEP_11, Some("urn:x"), Some("sha1")),
    ] {
        let expected = DecryptionError::OaepNotOffered {
            digest: digest.unwrap_or(default).to_owned(),
            mask: mask.map_or(default.to_owned(), |hash| format!("{XENC11}mgf1{hash}")),
        };
        assert_eq!(refused(&good, &method(uri, digest, mask)), expected);
    }
}

#[test]
fn rsa_1_5_and_other_transports_are_refused_by_name() {
    for uri in [
        "http://www.w3.org/2001/04/xmlenc#rsa-1_5",
        "http://www.w3.org/2001/04/xmlenc#kw-aes128",
        "http://www.w3.org/2009/xmlenc11#ECDH-ES",
        "",
    ] {
        assert_eq!(refused(OAEP_MGF1P, uri), DecryptionError::KeyTransportNotAllowed(uri.to_owned()));
    }
}

#[test]
fn other_ciphers_are_refused_by_name() {
    for uri in [
        "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
        "http://www.w3.org/2001/04/xmlenc#aes192-cbc",
        "http://www.w3.org/2009/xmlenc11#aes192-gcm",
        "http://www.w3.org/2001/04/xmlenc#aes128-gcm",
        "",
    ] {
        assert_eq!(refused(AES256_GCM, uri), DecryptionError::ContentAlgorithmNotAllowed(uri.to_owned()));
    }
    assert_eq!(refused(AES256_GCM, "").code(), "content_algorithm_not_allowed");
}

#[test]
fn the_form_is_that_of_saml() {
    let unexpected = |parent: &str, found: &str| DecryptionError::Unexpected {
        parent: parent.to_owned(),
        found: found.to_owned(),
    };
    let incomplete = |parent: &str, name| DecryptionError::Incomplete { parent: parent.to_owned(), name };
    let good = &*SEALED;
    let cut = |from: &str, to: &str| {
        let start = good.find(from).unwrap();
        good[start..start + good[start..].find(to).unwrap() + to.len()].to_owned()
    };
    let content_method = cut("<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2009", "/>");
    let key_method = cut("<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001", "/>");
    let key = cut("<xenc:EncryptedKey>", "</xenc:EncryptedKey>");
    let data = cut("<xenc:EncryptedData", "</xenc:EncryptedData>");
    let key_info = cut("<ds:KeyInfo", "</ds:KeyInfo>");
    for (from, to, expected) in [
        ("</a:EncryptedAssertion>", "<x/></a:EncryptedAssertion>", unexpected("EncryptedAssertion", "x")),
        (
            "</a:EncryptedAssertion>",
            &format!("{data}</a:EncryptedAssertion>"),
            unexpected("EncryptedAssertion", "EncryptedData"),
        ),
        ("<xenc:EncryptedData ", "text<xenc:EncryptedData ", unexpected("EncryptedAssertion", "text")),
        ("<xenc:EncryptedData ", "<xenc:EncryptedData x='' ", unexpected("EncryptedData", "x")),
        (&data, "", incomplete("EncryptedAssertion", "EncryptedData")),
        (&content_method, "", incomplete("EncryptedData", "EncryptionMethod")),
        (&key_method, "", incomplete("EncryptedKey", "EncryptionMethod")),
        (
            "</xenc:EncryptedData>",
            "<xenc:EncryptionProperties/></xenc:EncryptedData>",
            unexpected("EncryptedData", "EncryptionProperties"),
        ),
        (
            &content_method,
            &content_method.replace("/>", "><xenc:KeySize>256</xenc:KeySize></xenc:EncryptionMethod>"),
            unexpected("EncryptionMethod", "KeySize"),
        ),
        (
            &key_method,
            &key_method.replace("/>", "><xenc:OAEPparams>AAAA</xenc:OAEPparams></xenc:EncryptionMethod>"),
            unexpected("EncryptionMethod", "OAEPparams"),
        ),
        (
            "<xenc:CipherValue>",
            "<xenc:CipherReference URI='http://x/'/><xenc:CipherValue>",
            unexpected("CipherData", "CipherReference"),
        ),
        ("<xenc:CipherValue>", "<xenc:CipherValue x=''>", unexpected("CipherValue", "x")),
        (
            "</xenc:CipherValue>",
            "</xenc:CipherValue><xenc:CipherValue>AAAA</xenc:CipherValue>",
            unexpected("CipherData", "CipherValue"),
        ),
        (
            "<xenc:CipherValue>",
            "<xenc:CipherValue>.",
            DecryptionError::NotBase64 { element: "CipherValue".to_owned() },
        ),
        (
            "xmlenc#Element",
            "xmlenc#Content",
            DecryptionError::TypeNotElement("http://www.w3.org/2001/04/xmlenc#Content".to_owned()),
        ),
        (&key, "", DecryptionError::KeyMissing),
        (&key_info, "", DecryptionError::KeyMissing),
        (&key, &key.repeat(5), DecryptionError::TooManyKeys { limit: 4 }),
    ] {
        assert_eq!(refused(from, to), expected, "{to}");
    }
    for (from, to) in [
        (" Type=\"http://www.w3.org/2001/04/xmlenc#Element\"", ""),
        (key.as_str(), &key.repeat(4)),
        (&key, &format!("<ds:KeyName>x</ds:KeyName><ds:RetrievalMethod URI='#k'/>{key}")),
        ("<xenc:EncryptedKey>", "<xenc:EncryptedKey Recipient='https://sp.test' Id='k'>"),
        (
            "</xenc:EncryptedKey>",
            "<xenc:ReferenceList/><xenc:CarriedKeyName>x</xenc:CarriedKeyName></xenc:EncryptedKey>",
        ),
    ] {
        assert!(read(&good.replacen(from, to, 1)).is_ok(), "{to}");
    }
}

#[test]
fn the_key_that_fits_is_found_among_several() {
    let (mine, other) =
        (Envelope::new(AES256_GCM), Envelope { content_key: Some(vec![8; 16]), ..Envelope::new(AES256_GCM) });
    let both = mine.seal("<x/>", &RSA).replacen(
        "<xenc:EncryptedKey>",
        &format!("{}<xenc:EncryptedKey>", other.key(&OTHER_RSA)),
        1,
    );
    // The other's content key has another length.
    let keys = [OTHER_RSA.decryption(), RSA.decryption()];
    assert_eq!(read(&both).unwrap().open(&keys), b"<x/>");
    assert_ne!(read(&both).unwrap().open(&keys[..1]), b"<x/>");
    assert_eq!(read(&both).unwrap().open(&[]), b"");
}

#[test]
fn what_does_not_open_gives_bytes_that_are_the_same_each_time() {
    let stranger = Envelope::new(AES128_CBC).seal("<x/>", &OTHER_RSA);
    let keys = [RSA.decryption()];
    let first = read(&stranger).unwrap().open(&keys);
    assert_eq!(first, read(&stranger).unwrap().open(&keys));
    assert_ne!(first, b"<x/>");
    // A count of padding that cannot be is none, but takes the end of the last tag away.
    let wrong = Envelope { tamper: |data| data[15] ^= 0xf0, ..Envelope::new(AES128_CBC) };
    assert_eq!(read(&wrong.seal("<x/>", &RSA)).unwrap().open(&keys), b"");
    // No block, half a block, an IV alone.
    for length in [0, 1, 15, 16, 17, 31] {
        let tamper: fn(&mut Vec<u8>) = match length {
            0 => |data| data.truncate(1),
            1 => |data| data.truncate(15),
            15 => |data| data.truncate(16),
            16 => |data| data.truncate(17),
            17 => |data| data.truncate(31),
            _ => |data| data.push(0),
        };
        let cut = Envelope { tamper, ..Envelope::new(AES128_CBC) };
        assert_eq!(read(&cut.seal("<x/>", &RSA)).unwrap().open(&keys), b"", "{length}");
    }
}
