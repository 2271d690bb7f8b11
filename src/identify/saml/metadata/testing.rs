//! Metadata of an identity provider for the tests, made at run time.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::identify::saml::testing::{Party, RSA};
use crate::identify::saml::xml::{DSIG, METADATA, SAMLP};

pub const ID: &str = "https://id.example/realms/a";

pub fn certificate(party: &Party) -> String {
    STANDARD.encode(&party.certificate)
}

/// In the form of Keycloak.
pub static GOOD: LazyLock<String> = LazyLock::new(|| {
    let key = certificate(&RSA);
    let binding = "urn:oasis:names:tc:SAML:2.0:bindings";
    format!(
        r#"<md:EntityDescriptor xmlns="{METADATA}" xmlns:md="{METADATA}" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:ds="{DSIG}" entityID="{ID}">
  <md:IDPSSODescriptor WantAuthnRequestsSigned="true" protocolSupportEnumeration="{SAMLP}">
    <md:KeyDescriptor use="signing">
      <ds:KeyInfo>
        <ds:KeyName>kid</ds:KeyName>
        <ds:X509Data>
          <ds:X509Certificate>{key}</ds:X509Certificate>
        </ds:X509Data>
      </ds:KeyInfo>
    </md:KeyDescriptor>
    <md:ArtifactResolutionService Binding="{binding}:SOAP" Location="https://id.example/resolve" index="0"></md:ArtifactResolutionService>
    <md:SingleLogoutService Binding="{binding}:HTTP-POST" Location="https://id.example/slo/post"></md:SingleLogoutService>
    <md:SingleLogoutService Binding="{binding}:HTTP-Redirect" Location="https://id.example/slo" ResponseLocation="https://id.example/slo/done"></md:SingleLogoutService>
    <md:SingleLogoutService Binding="{binding}:HTTP-Artifact" Location="https://id.example/slo"></md:SingleLogoutService>
    <md:SingleLogoutService Binding="{binding}:SOAP" Location="https://id.example/slo/soap"></md:SingleLogoutService>
    <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>
    <md:NameIDFormat>
      urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress
    </md:NameIDFormat>
    <md:SingleSignOnService Binding="{binding}:SOAP" Location="https://id.example/sso/ecp"></md:SingleSignOnService>
    <md:SingleSignOnService Binding="{binding}:HTTP-POST" Location="https://id.example/sso/post?a=1&amp;b=2"></md:SingleSignOnService>
    <md:SingleSignOnService Binding="{binding}:HTTP-Redirect" Location="https://id.example/sso"></md:SingleSignOnService>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>"#
    )
});

pub fn aggregate(attributes: &str, inner: &str) -> String {
    format!("<md:EntitiesDescriptor xmlns:md='{METADATA}' {attributes}>{inner}</md:EntitiesDescriptor>")
}
