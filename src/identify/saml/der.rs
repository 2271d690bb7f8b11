//! A certificate's public key: the few steps into X.509's DER that lead there, and not one more.

/// DER tags (X.690, 8.1.2).
const BOOLEAN_CONTEXT_0: u8 = 0xa0;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// A public key as a certificate carries it (RFC 5280, 4.1.2.7).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PublicKeyInfo<'a> {
    /// The algorithm's object identifier, as encoded.
    pub algorithm: &'a [u8],
    /// The named curve's object identifier; none where the parameters are no object identifier.
    pub curve: Option<&'a [u8]>,
    pub key: &'a [u8],
}

/// RSA's two numbers, big-endian and without leading zeros (RFC 8017, A.1.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RsaNumbers<'a> {
    pub modulus: &'a [u8],
    pub exponent: &'a [u8],
}

/// The public key of a certificate of any version (RFC 5280, 4.1); `None` where it is none.
pub(super) fn of_certificate(der: &[u8]) -> Option<PublicKeyInfo<'_>> {
    let mut certificate = Reader(Reader(der).only(SEQUENCE)?);
    let mut body = Reader(certificate.take(SEQUENCE)?);
    certificate.take(SEQUENCE)?; // signatureAlgorithm
    certificate.take(BIT_STRING)?; // signatureValue
    certificate.end()?;

    body.take_if(BOOLEAN_CONTEXT_0)?; // version, absent in v1
    body.take(INTEGER)?; // serialNumber
    body.take(SEQUENCE)?; // signature
    body.take(SEQUENCE)?; // issuer
    body.take(SEQUENCE)?; // validity
    body.take(SEQUENCE)?; // subject
    info(body.take(SEQUENCE)?)
    // What follows (unique identifiers, extensions) is of no meaning here.
}

/// RFC 5280, 4.1: `SubjectPublicKeyInfo`, without its own header.
fn info(der: &[u8]) -> Option<PublicKeyInfo<'_>> {
    let mut whole = Reader(der);
    let mut algorithm = Reader(whole.take(SEQUENCE)?);
    // X.690, 8.6.2.2: the first octet counts the unused bits; a key has none.
    let key = whole.take(BIT_STRING)?.strip_prefix(&[0])?;
    whole.end()?;
    let name = algorithm.take(OID)?;
    let curve = algorithm.take_if(OID)?;
    Some(PublicKeyInfo { algorithm: name, curve, key })
}

/// RFC 8017, A.1.1: `RSAPublicKey`.
pub(super) fn rsa_numbers(der: &[u8]) -> Option<RsaNumbers<'_>> {
    let mut numbers = Reader(Reader(der).only(SEQUENCE)?);
    let modulus = positive(numbers.take(INTEGER)?)?;
    let exponent = positive(numbers.take(INTEGER)?)?;
    numbers.end()?;
    Some(RsaNumbers { modulus, exponent })
}

/// X.690, 8.3: two's complement in as few octets as can be; here without the zero that keeps it positive.
fn positive(octets: &[u8]) -> Option<&[u8]> {
    match octets {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Some(rest),
        [1..=0x7f, ..] => Some(octets),
        _ => None,
    }
}

/// An ECDSA signature as X9.62 writes it, from the two numbers of equal length that XML Signature 1.1, 6.4.3
/// puts one after the other.
pub(super) fn ecdsa_signature(r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let numbers = [integer(r)?, integer(s)?].concat();
    element(SEQUENCE, &numbers)
}

fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let digits = number.get(zeros..)?;
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits].concat())
}

/// Of at most 255 octets, which every signature here is.
fn element(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(content.len()).ok()?;
    let header: &[u8] = if length < 0x80 { &[tag, length] } else { &[tag, 0x81, length] };
    Some([header, content].concat())
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, mut rest) = self.0.split_first()?;
        if *found != tag {
            return None;
        }
        let (first, after) = rest.split_first()?;
        rest = after;
        let length = match first {
            0..=0x7f => usize::from(*first),
            // X.690, 10.1: the definite form, in as few octets as can be. Four of them are 4 GB.
            0x81..=0x84 => {
                let (octets, after) = rest.split_at_checked(usize::from(first - 0x80))?;
                rest = after;
                let length = octets
                    .iter()
                    .try_fold(0_usize, |sum, octet| sum.checked_mul(256)?.checked_add(usize::from(*octet)))?;
                if length < 0x80 || octets.first() == Some(&0) {
                    return None;
                }
                length
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some(content)
    }

    /// The next element's content where it has this tag; the outer `None` where it is cut short.
    #[expect(clippy::option_option, reason = "absent is not the same as broken")]
    fn take_if(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&tag) { self.take(tag).map(Some) } else { Some(None) }
    }

    /// The content of the one element that all of it is.
    fn only(mut self, tag: u8) -> Option<&'a [u8]> {
        let content = self.take(tag)?;
        self.end()?;
        Some(content)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let numbers = [element(INTEGER, modulus).unwrap(), element(INTEGER, exponent).unwrap()].concat();
        element(SEQUENCE, &numbers).unwrap()
    }

    #[test]
    fn a_number_is_positive_and_of_no_more_octets_than_it_needs() {
        for (octets, digits) in [
            (&[0x7f, 1][..], &[0x7f, 1][..]),
            (&[1], &[1]),
            (&[0, 0x80], &[0x80]),
            (&[0, 0xff, 0], &[0xff, 0]),
        ] {
            let whole = numbers(octets, &[3]);
            assert_eq!(rsa_numbers(&whole), Some(RsaNumbers { modulus: digits, exponent: &[3] }));
        }
        for octets in [&[][..], &[0], &[0, 0x7f], &[0, 3], &[0, 0, 0x80], &[0x80], &[0xff, 1]] {
            assert_eq!(rsa_numbers(&numbers(octets, &[3])), None, "{octets:?}");
            assert_eq!(rsa_numbers(&numbers(&[3], octets)), None, "{octets:?}");
        }
    }

    #[test]
    fn a_length_is_written_in_no_more_octets_than_it_needs() {
        for (length, header) in [(0x00, &[][..]), (0x7f, &[]), (0x80, &[0x81]), (0xff, &[0x81])] {
            let content = vec![7; length];
            let whole = [&[SEQUENCE][..], header, &[u8::try_from(length).unwrap()], &content].concat();
            assert_eq!(element(SEQUENCE, &content), Some(whole.clone()));
            assert_eq!(Reader(&whole).only(SEQUENCE), Some(&content[..]));
        }
        assert_eq!(element(SEQUENCE, &[7; 0x100]), None);
        for (header, length) in [
            (&[0x81, 0x00][..], 0x00),
            (&[0x81, 0x7f], 0x7f),
            (&[0x82, 0x00, 0x80], 0x80),
            (&[0x83, 0x00, 0x01, 0x00], 0x100),
            (&[0x80], 0x10),
            (&[0x85, 0, 0, 0, 0, 0x80], 0x80),
            (&[0xff], 0x10),
        ] {
            let whole = [&[SEQUENCE][..], header, &vec![7; length]].concat();
            assert_eq!(Reader(&whole).only(SEQUENCE), None, "{header:?}");
        }
        let long = [&[SEQUENCE, 0x82, 0x01, 0x00][..], &[7; 0x100]].concat();
        assert_eq!(Reader(&long).only(SEQUENCE), Some(&[7; 0x100][..]));
        let longer = [&[SEQUENCE, 0x84, 0x01, 0x00, 0x00, 0x00][..], &vec![7; 1 << 24]].concat();
        assert_eq!(Reader(&longer).only(SEQUENCE).map(<[u8]>::len), Some(1 << 24));
    }

    #[test]
    fn the_numbers_of_a_signature_lose_their_zeros_and_gain_a_sign() {
        assert_eq!(ecdsa_signature(&[0, 1], &[0x80, 0]).unwrap(), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 0]);
        assert_eq!(ecdsa_signature(&[0, 0], &[0x7f, 2]).unwrap(), [0x30, 7, 2, 1, 0, 2, 2, 0x7f, 2]);
        assert_eq!(ecdsa_signature(&[1; 62], &[1; 62]).unwrap()[..3], [0x30, 0x81, 0x80]);
    }
}
