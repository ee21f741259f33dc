//! Why a token is not accepted.

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// It is no signed token in the compact form, is too long, or is ambiguous.
    Malformed,
    /// Its header demands something that is not supported.
    Header,
    /// It is signed with an algorithm that is not accepted.
    Algorithm,
    /// It is of an issuer that the configuration does not name.
    Issuer,
    /// The keys of the issuer are not known.
    NoKeys,
    /// The issuer has no key of this name for this algorithm.
    Key,
    /// The signature is wrong.
    Signature,
    /// It is for another service.
    Audience,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// It was issued too long ago.
    TooOld,
    /// A claim is missing or has another value.
    Claims,
}

impl TokenFault {
    /// Every fault.
    pub const ALL: [TokenFault; 12] = [
        TokenFault::Malformed,
        TokenFault::Header,
        TokenFault::Algorithm,
        TokenFault::Issuer,
        TokenFault::NoKeys,
        TokenFault::Key,
        TokenFault::Signature,
        TokenFault::Audience,
        TokenFault::Expired,
        TokenFault::NotYet,
        TokenFault::TooOld,
        TokenFault::Claims,
    ];

    /// Label in metrics and records.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            TokenFault::Malformed => "malformed_token",
            TokenFault::Header => "token_header",
            TokenFault::Algorithm => "token_algorithm",
            TokenFault::Issuer => "unknown_issuer",
            TokenFault::NoKeys => "issuer_without_keys",
            TokenFault::Key => "unknown_token_key",
            TokenFault::Signature => "token_signature",
            TokenFault::Audience => "token_audience",
            TokenFault::Expired => "expired_token",
            TokenFault::NotYet => "token_not_yet_valid",
            TokenFault::TooOld => "token_too_old",
            TokenFault::Claims => "token_claims",
        }
    }

    /// What the client is told. It holds the token and can read it, so this tells it nothing new.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            TokenFault::Malformed => {
                "send a signed token in the compact form, or a key that begins with mek_"
            }
            TokenFault::Header => "the header of the token has a part that is not supported",
            TokenFault::Algorithm => "the token is signed with an algorithm that is not accepted",
            TokenFault::Issuer => "the engine accepts no tokens of this issuer",
            TokenFault::NoKeys => "the keys of the issuer are not known now; repeat the request later",
            TokenFault::Key => "the issuer has no such key; request a new token",
            TokenFault::Signature => "the signature of the token is wrong",
            TokenFault::Audience => "the token is for another service; request one for this resource",
            TokenFault::Expired => "the token has expired; request a new one",
            TokenFault::NotYet => "the token is not valid yet; compare the clocks",
            TokenFault::TooOld => "the token was issued too long ago; request a new one",
            TokenFault::Claims => "a claim of the token is missing, or has a value that is not accepted",
        }
    }
}
