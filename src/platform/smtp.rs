//! Outbound mail: one server, TLS unless it is on this machine, typed headers, limits.

use std::time::Duration;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use uuid::Uuid;

use crate::model::{EmailAddress, Secret, UnixTime};

/// The server has this long for each answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// One message takes at most this long, however many answers it wants.
const WHOLE: Duration = Duration::from_mins(1);

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS after a plain greeting; without it nothing is sent.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None.
    Plain,
}

/// The server, and as whom narthex sends.
#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub credentials: Option<(String, Secret)>,
    pub from: EmailAddress,
    /// The name in the greeting and in message ids: the host that narthex fronts.
    pub hello: String,
}

/// One plain-text message.
#[derive(Debug, Clone)]
pub struct Mail<'a> {
    /// Stays the same when it is sent again.
    pub id: Uuid,
    pub at: UnixTime,
    pub to: &'a EmailAddress,
    pub subject: &'a str,
    pub text: &'a str,
}

/// A message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The certificates, or the machine's trust store.
    #[error("TLS for mail cannot be set up: {0}")]
    Setup(String),
    /// SECURITY: a control character in a header would begin another one.
    #[error("the mail's {part} holds a control character and is not sent")]
    ControlCharacter { part: &'static str },
    #[error("the mail cannot be written: {0}")]
    Unwritable(String),
    /// The server said no, and would again.
    #[error("the mail server {host} refuses it: {reason}")]
    Refused { host: String, reason: String },
    /// Worth another try.
    #[error("the mail server {host} did not take it: {reason}")]
    NotTaken { host: String, reason: String },
}

/// Sends mail through one server.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    host: String,
    hello: String,
    from: Mailbox,
}

impl Mailer {
    /// `extra_roots`: PEM certificates trusted beside the platform's own.
    ///
    /// # Errors
    /// [`MailError::Setup`], or an address that the mail library does not take.
    pub fn new(server: &Server, extra_roots: &[u8]) -> Result<Self, MailError> {
        let Server { host, port, security, credentials, from, hello } = server;
        let tls = match security {
            Security::Plain => Tls::None,
            // `Required`: a server that does not offer STARTTLS, or somebody on the way who hides the offer, gets
            // neither password nor message.
            Security::StartTls => Tls::Required(tls(host, extra_roots)?),
            Security::Tls => Tls::Wrapper(tls(host, extra_roots)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(*port)
            .tls(tls)
            .hello_name(ClientId::Domain(hello.clone()))
            .timeout(Some(PATIENCE));
        if let Some((username, password)) = credentials {
            builder = builder.credentials(Credentials::new(username.clone(), password.expose().to_owned()));
        }
        let from = Mailbox::new(Some("narthex".to_owned()), address(from)?);
        Ok(Self { transport: builder.build(), host: host.clone(), hello: hello.clone(), from })
    }

    /// Sends one message; returns when the server has taken it.
    ///
    /// # Errors
    /// Why it was not sent.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<(), MailError> {
        if mail.subject.chars().any(char::is_control) {
            return Err(MailError::ControlCharacter { part: "subject" });
        }
        if mail.text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(MailError::ControlCharacter { part: "text" });
        }
        let date = u64::try_from(mail.at.0).unwrap_or(0);
        let message = MessageBuilder::new()
            .from(self.from.clone())
            .to(Mailbox::new(None, address(mail.to)?))
            .subject(mail.subject)
            .date(std::time::UNIX_EPOCH + Duration::from_secs(date))
            .message_id(Some(format!("<{}@{}>", mail.id, self.hello)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.to_owned())
            .map_err(|error| MailError::Unwritable(error.to_string()))?;
        let host = self.host.clone();
        match tokio::time::timeout(WHOLE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err(MailError::Refused { host, reason: told(&error) }),
            Ok(Err(error)) => Err(MailError::NotTaken { host, reason: told(&error) }),
            Err(_) => {
                let reason = format!("it was not done after {} seconds", WHOLE.as_secs());
                Err(MailError::NotTaken { host, reason })
            }
        }
    }
}

fn tls(host: &str, extra_roots: &[u8]) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    for root in CertificateDer::pem_slice_iter(extra_roots) {
        let root = root.map_err(|error| MailError::Setup(error.to_string()))?;
        let root = Certificate::from_der(root.to_vec()).map_err(|error| MailError::Setup(told(&error)))?;
        builder = builder.add_root_certificate(root);
    }
    builder.build_rustls().map_err(|error| MailError::Setup(told(&error)))
}

fn address(address: &EmailAddress) -> Result<Address, MailError> {
    Address::new(address.local(), address.domain()).map_err(|error| MailError::Unwritable(error.to_string()))
}

/// The error with its causes, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// RFC 3834, 5: nobody's holiday notice answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
