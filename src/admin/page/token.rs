//! Who may look: whoever has the token, which stands in a file of the state folder and is given
//! once in a link; from then on the browser brings a cookie that is made from it. Neither can be
//! had from the other side: compared in constant time, never logged.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The link's token, and what the cookie of this listener is called.
pub(super) struct Token {
    token: String,
    cookie: String,
    name: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// `port`: of the listener. Cookies know no ports: each gateway of a machine has its own name.
    pub(super) fn new(token: String, port: u16) -> Self {
        let cookie = Hmac::<Sha256>::new_from_slice(token.as_bytes()).map(|mut mac| {
            mac.update(b"portreeve page cookie 1");
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        });
        // A key of any length is one.
        Self { token, cookie: cookie.unwrap_or_default(), name: format!("portreeve-{port}") }
    }

    /// The link has it.
    pub(super) fn is_given(&self, query: Option<&str>) -> bool {
        let given = query.unwrap_or_default().split('&').find_map(|p| p.strip_prefix("token="));
        given.is_some_and(|given| is_same(given, &self.token))
    }

    /// A browser brings the cookie.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let mut cookies = all.flat_map(|v| v.split(';')).filter_map(|c| c.trim().split_once('='));
        cookies.any(|(name, value)| name == self.name && is_same(value, &self.cookie))
    }

    /// What the browser is to keep: for half a year, for this host alone.
    pub(super) fn set(&self) -> String {
        let (name, cookie) = (&self.name, &self.cookie);
        format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age=15552000")
    }
}

fn is_same(given: &str, own: &str) -> bool {
    !own.is_empty() && bool::from(given.as_bytes().ct_eq(own.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_link_and_the_cookie_open_and_neither_is_the_other() {
        let token = Token::new("secret".to_owned(), 8060);
        assert!(token.is_given(Some("x=1&token=secret")));
        for query in [None, Some(""), Some("token="), Some("token=secre"), Some("atoken=secret")] {
            assert!(!token.is_given(query), "{query:?}");
        }
        let set = token.set();
        let (pair, rest) = set.split_once(';').unwrap();
        assert!(rest.contains("HttpOnly") && rest.contains("SameSite=Strict"));
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            token.is_known(&headers)
        };
        assert!(with(pair) && with(&format!("a=b; {pair}")));
        assert!(!with("portreeve-8060=secret") && !with("portreeve-8060=") && !with("x"));
        let (_, value) = pair.split_once('=').unwrap();
        assert!(!with(&format!("portreeve-8061={value}")));
        assert!(!token.is_given(Some(&format!("token={value}"))));
        assert!(!Token::new(String::new(), 1).is_given(Some("token=")));
        assert!(!format!("{token:?}").contains("secret"));
    }
}
