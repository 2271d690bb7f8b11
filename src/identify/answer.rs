//! The parameters of a login answer, read from a query or a form: each at most once, each bounded.

use super::protocol::{AnswerParameters, LoginError};
use crate::model::Secret;

/// Longer values are refused (SECURITY.md 9); codes of some providers reach several kilobytes.
const MAX_VALUE: usize = 8 * 1024;

/// Reads `state` and the rest from `application/x-www-form-urlencoded` text. Unknown parameters are passed
/// over (RFC 6749, 4.1.2), empty ones count as absent (3.1).
///
/// # Errors
/// Where one stands twice or is too long.
pub fn read(encoded: &[u8]) -> Result<(Option<String>, AnswerParameters), LoginError> {
    let (mut state, mut code, mut error, mut description, mut iss) = (None, None, None, None, None);
    for (name, value) in url::form_urlencoded::parse(encoded) {
        let (name, slot) = match &*name {
            "state" => ("state", &mut state),
            "code" => ("code", &mut code),
            "error" => ("error", &mut error),
            "error_description" => ("error_description", &mut description),
            "iss" => ("iss", &mut iss),
            _ => continue,
        };
        if value.len() > MAX_VALUE {
            return Err(LoginError::ParameterTooLong { name, limit: MAX_VALUE });
        }
        if value.is_empty() {
            continue;
        }
        if slot.replace(value.into_owned()).is_some() {
            return Err(LoginError::ParameterTwice { name });
        }
    }
    let parameters =
        AnswerParameters { code: code.map(Secret::new), error, error_description: description, iss };
    Ok((state, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_carries_is_read() {
        let (state, answer) =
            read(b"state=s&code=c%2B1&iss=https%3A%2F%2Fid.example&session_state=x&session_state=y").unwrap();
        assert_eq!(state.as_deref(), Some("s"));
        assert_eq!(answer.code.unwrap().expose(), "c+1");
        assert_eq!(answer.iss.as_deref(), Some("https://id.example"));
        assert_eq!((answer.error, answer.error_description), (None, None));

        let (state, answer) = read(b"error=access_denied&error_description=no+way&state=").unwrap();
        assert_eq!(state, None);
        assert_eq!(answer.error.as_deref(), Some("access_denied"));
        assert_eq!(answer.error_description.as_deref(), Some("no way"));
        assert!(answer.code.is_none());
    }

    #[test]
    fn a_parameter_that_stands_twice_is_refused() {
        for name in ["state", "code", "error", "error_description", "iss"] {
            let refusal = read(format!("{name}=a&x=1&{name}=b").as_bytes()).unwrap_err();
            assert!(matches!(refusal, LoginError::ParameterTwice { name: found } if found == name), "{name}");
        }
    }

    #[test]
    fn a_value_of_the_greatest_length_is_read_and_one_byte_more_is_not() {
        assert_eq!(MAX_VALUE, 8192);
        let longest = format!("code={}", "a".repeat(MAX_VALUE));
        assert!(read(longest.as_bytes()).is_ok());
        let refusal = read(format!("{longest}a").as_bytes()).unwrap_err();
        assert!(matches!(refusal, LoginError::ParameterTooLong { name: "code", limit: MAX_VALUE }));
    }
}
