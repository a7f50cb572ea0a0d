//! Digest authentication as a server (RFC 7616, RFC 8760): MD5 and SHA-256, qop=auth. Nonces are
//! stateless: time and an HMAC of it; no per-challenge memory except the replay window of `nc`.
//! It proves who speaks; what that one may do is policy's word.

mod credentials;

use crate::audit::SecurityClass;
use crate::ground::{Wall, words};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credentials::Credentials;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use subtle::ConstantTimeEq;

/// Seconds a nonce is good for.
const LIFETIME: u64 = 300;
/// Nonces whose `nc` is remembered; the oldest go first.
const WINDOW: usize = 4_096;
/// Counts below the highest of a nonce that may still come: parallel requests overtake each other.
const BEHIND: u32 = 64;

/// Hash of nonce, user and cnonce.
type Use = [u8; 32];

/// User-Agents that give up at a challenge they do not know instead of taking the next one
/// (RFC 8760 §2.4 asks for the latter): they are offered MD5 alone.
const MD5_ONLY: [&str; 5] = ["baresip v0.", "baresip v1.", "Samsung", "SMT-", "SMT i"];

/// True when a phone of this User-Agent must not see a SHA-256 challenge.
#[must_use]
pub fn knows_md5_only(user_agent: &str) -> bool {
    MD5_ONLY.iter().any(|p| user_agent.get(..p.len()).is_some_and(|s| s.eq_ignore_ascii_case(p)))
}

/// Secrets of local users.
#[derive(Clone, PartialEq, Eq)]
pub enum Users {
    /// One password for every user name that is an extension (site mode): digits, 2 to 6 of them.
    Shared {
        /// The password.
        password: String,
    },
    /// HA1 values by user: MD5 and SHA-256 (hex), either may be absent.
    Table(HashMap<String, Ha1>),
    /// Nobody.
    None,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shared { .. } => "Users::Shared",
            Self::Table(_) => "Users::Table",
            Self::None => "Users::None",
        })
    }
}

/// Precomputed HA1 of one user, lower-case hex.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ha1 {
    /// MD5(user:realm:password).
    pub md5: Option<String>,
    /// SHA-256(user:realm:password).
    pub sha256: Option<String>,
}

/// Outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Right: the user it proves.
    Proved {
        /// Who.
        user: String,
        /// The `uri` it was made for; whether that is the Request-URI is the caller's question.
        uri: String,
    },
    /// No credentials for our realm, or the nonce is used up (`stale`): challenge.
    Challenge {
        /// The response was right but the nonce too old, or its count used before.
        stale: bool,
    },
    /// Wrong.
    Wrong(Fault),
}

words! {
    /// What is wrong with credentials.
    pub enum Fault {
        /// The response does not fit the password.
        BadPassword = "bad_password",
        /// There is no such user.
        UnknownUser = "unknown_user",
        /// A nonce count or cnonce is missing, or is none (RFC 7616 §3.4).
        NonceCount = "nonce_count",
        /// An algorithm that was not offered.
        Algorithm = "algorithm",
        /// It cannot be read.
        Malformed = "malformed",
        /// Made for another Request-URI.
        Uri = "uri",
    }
}

impl Fault {
    /// The answer (RFC 3261 §22.4: credentials for another URI are a bad request; RFC 7616 §3.4:
    /// so are those without what `qop` asks for).
    pub(crate) fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Uri => (400, "Digest Is For Another URI"),
            Self::NonceCount => (400, "Digest Without Nonce Count"),
            Self::BadPassword | Self::UnknownUser | Self::Algorithm | Self::Malformed => {
                (403, "Forbidden")
            }
        }
    }

    /// Under which class it is recorded: who cannot count has guessed no password.
    pub(crate) fn class(self) -> SecurityClass {
        match self {
            Self::NonceCount => SecurityClass::Malformed,
            Self::Uri
            | Self::BadPassword
            | Self::UnknownUser
            | Self::Algorithm
            | Self::Malformed => SecurityClass::BadPassword,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The server side of digest.
#[derive(Clone)]
pub struct Authenticator {
    realm: String,
    users: Users,
    secret: [u8; 32],
    /// Counts by use: a nonce is made of the second, so many phones hold the same one.
    counts: HashMap<Use, Counts>,
    order: VecDeque<Use>,
    /// Nonces given in place of used ones: each is another, even within a second.
    renewed: u32,
}

/// The `nc` values seen of one use.
#[derive(Clone, Copy, Debug)]
struct Counts {
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl Counts {
    /// True when this count was not seen; remembers it.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            self.seen = if by < BEHIND { self.seen << by | 1 } else { 1 };
            self.highest = count;
            return true;
        }
        let back = self.highest - count;
        let fresh = back < BEHIND && self.seen >> back & 1 == 0;
        if fresh {
            self.seen |= 1 << back;
        }
        fresh
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// `secret` keys the nonces (32 octets from the driver's random source).
    #[must_use]
    pub fn new(realm: &str, users: Users, secret: [u8; 32]) -> Self {
        let (counts, order) = (HashMap::new(), VecDeque::new());
        Self { realm: realm.to_owned(), users, secret, counts, order, renewed: 0 }
    }

    /// Replaces the users (reload).
    pub fn set_users(&mut self, users: Users) {
        self.users = users;
    }

    /// Values of the challenge header, strongest algorithm first (one header row each).
    #[must_use]
    pub fn challenge(&mut self, now: Wall, stale: bool) -> Vec<String> {
        if stale {
            self.renewed = self.renewed.wrapping_add(1);
        }
        let nonce = self.nonce(now.seconds(), if stale { self.renewed } else { 0 });
        let stale = if stale { ", stale=true" } else { "" };
        let value = |algorithm: &str| {
            format!(
                "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}",
                self.realm
            )
        };
        match &self.users {
            Users::Table(t) if t.values().all(|h| h.sha256.is_none()) => vec![value("MD5")],
            Users::Shared { .. } | Users::Table(_) | Users::None => {
                vec![value("SHA-256"), value("MD5")]
            }
        }
    }

    fn nonce(&self, seconds: u64, renewed: u32) -> String {
        let made = [&seconds.to_be_bytes()[..], &renewed.to_be_bytes()].concat();
        URL_SAFE_NO_PAD.encode([&made[..], &self.mac(&made)].concat())
    }

    fn mac(&self, made: &[u8]) -> [u8; 16] {
        let mut out = [0; 16];
        // A key of 32 octets always fits.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) {
            mac.update(self.realm.as_bytes());
            mac.update(made);
            let full = mac.finalize().into_bytes();
            for (o, b) in out.iter_mut().zip(full) {
                *o = b;
            }
        }
        out
    }

    /// Age of one of our nonces in seconds; `None`: not ours.
    fn age(&self, nonce: &str, now: Wall) -> Option<u64> {
        let raw = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (made, mac) = raw.split_at_checked(12)?;
        let ours: bool = self.mac(made).as_slice().ct_eq(mac).into();
        let time = u64::from_be_bytes(made.get(..8)?.try_into().ok()?);
        ours.then(|| now.seconds().saturating_sub(time))
    }

    /// Judges the values of Authorization (or Proxy-Authorization) rows.
    pub fn check<'a>(
        &mut self,
        method: &str,
        values: impl Iterator<Item = &'a [u8]>,
        now: Wall,
    ) -> Check {
        let mut found = None;
        for value in values.take(8) {
            if let Some(c) = Credentials::parse(value).filter(|c| c.realm == self.realm) {
                found = Some(c);
                break;
            }
        }
        match found {
            Some(c) => self.judge(method, &c, now),
            None => Check::Challenge { stale: false },
        }
    }

    fn judge(&mut self, method: &str, c: &Credentials, now: Wall) -> Check {
        let Some(algorithm) = c.algorithm else { return Check::Wrong(Fault::Algorithm) };
        let Some(age) = self.age(&c.nonce, now) else {
            // A nonce from before a restart, or of another box: a fresh one helps.
            return Check::Challenge { stale: false };
        };
        let Some(ha1) = self.ha1(&c.user, algorithm) else {
            return Check::Wrong(Fault::UnknownUser);
        };
        let ha2 = algorithm.hex(&format!("{method}:{}", c.uri));
        let (expected, count) = match (&c.qop, c.nc_number()) {
            (Some(qop), Some(count)) if qop == "auth" && !c.cnonce.is_empty() => {
                let middle = format!("{}:{}:{}:{qop}", c.nonce, c.nc, c.cnonce);
                (algorithm.hex(&format!("{ha1}:{middle}:{ha2}")), Some(count))
            }
            // RFC 2069 phones send neither; they get no replay window, only the short lifetime.
            (None, _) => (algorithm.hex(&format!("{ha1}:{}:{ha2}", c.nonce)), None),
            (Some(qop), _) if qop == "auth" => return Check::Wrong(Fault::NonceCount),
            (Some(_), _) => return Check::Wrong(Fault::Malformed),
        };
        let right: bool = expected.as_bytes().ct_eq(c.response.as_bytes()).into();
        if !right {
            return Check::Wrong(Fault::BadPassword);
        }
        if age > LIFETIME {
            return Check::Challenge { stale: true };
        }
        if count.is_some_and(|n| !self.fresh(c, n)) {
            // RFC 7616 §3.4.6: whoever knows the password tries again, a replay cannot.
            return Check::Challenge { stale: true };
        }
        Check::Proved { user: c.user.clone(), uri: c.uri.clone() }
    }

    fn ha1(&self, user: &str, algorithm: Algorithm) -> Option<String> {
        match &self.users {
            Users::Shared { password } => {
                let extension =
                    (2..=6).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_digit());
                extension.then(|| algorithm.hex(&format!("{user}:{}:{password}", self.realm)))
            }
            Users::Table(table) => {
                let known = table.get(user)?;
                match algorithm {
                    Algorithm::Md5 => known.md5.clone(),
                    Algorithm::Sha256 => known.sha256.clone(),
                }
            }
            Users::None => None,
        }
    }

    /// True when this `nc` was not used with this nonce by this client; remembers it.
    fn fresh(&mut self, c: &Credentials, count: u32) -> bool {
        let by: Use = Sha256::digest(format!("{}:{}:{}", c.nonce, c.user, c.cnonce)).into();
        if let Some(counts) = self.counts.get_mut(&by) {
            return counts.take(count);
        }
        if self.order.len() >= WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        self.order.push_back(by);
        self.counts.insert(by, Counts { highest: count, seen: 1 });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Wall {
        Wall(Duration::from_secs(seconds))
    }

    fn gate() -> Authenticator {
        let users = Users::Shared { password: "tulip".into() };
        Authenticator::new("portreeve", users, [3; 32])
    }

    fn credentials(
        g: &Authenticator,
        algorithm: Algorithm,
        made: u64,
        nc: &str,
        password: &str,
    ) -> String {
        let nonce = g.nonce(made, 0);
        let ha1 = algorithm.hex(&format!("101:portreeve:{password}"));
        let ha2 = algorithm.hex("REGISTER:sip:x");
        let response = algorithm.hex(&format!("{ha1}:{nonce}:{nc}:c:auth:{ha2}"));
        let name = if algorithm == Algorithm::Md5 { "MD5" } else { "SHA-256" };
        format!(
            "Digest username=\"101\",realm=\"portreeve\" , nonce=\"{nonce}\",uri=\"sip:x\", \
             response=\"{response}\", algorithm={name}, qop=auth, nc={nc}, cnonce=\"c\""
        )
    }

    fn check(g: &mut Authenticator, value: &str, now: u64) -> Check {
        g.check("REGISTER", [value.as_bytes()].into_iter(), at(now))
    }

    #[test]
    fn both_algorithms_prove_and_a_replay_does_not() {
        let mut g = gate();
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let made = if algorithm == Algorithm::Md5 { 1000 } else { 1001 };
            let value = credentials(&g, algorithm, made, "00000001", "tulip");
            let proved = Check::Proved { user: "101".into(), uri: "sip:x".into() };
            assert_eq!(check(&mut g, &value, 1002), proved);
            assert_eq!(check(&mut g, &value, 1003), Check::Challenge { stale: true });
        }
    }

    #[test]
    fn counts_may_overtake_each_other_and_none_comes_twice() {
        let mut g = gate();
        let mut ask = |nc: &str| {
            let value = credentials(&g, Algorithm::Md5, 1000, nc, "tulip");
            matches!(check(&mut g, &value, 1001), Check::Proved { .. })
        };
        let first: Vec<bool> =
            ["00000003", "00000001", "00000002", "00000001", "00000003"].map(&mut ask).into();
        assert_eq!(first, [true, true, true, false, false]);
        assert!(ask("00000041") && ask("00000040") && !ask("00000041"));
        assert!(ask("00000100") && !ask("000000c0"), "64 behind is too late");
        assert!(ask("000000c1"));
    }

    #[test]
    fn a_count_that_is_missing_or_none_is_no_wrong_password() {
        let mut g = gate();
        let good = credentials(&g, Algorithm::Md5, 1000, "00000001", "tulip");
        for nc in ["", "1", "0000001", "000000001", "0000000g", "+0000001", "00000000"] {
            let value = good.replace("nc=00000001", &format!("nc={nc}"));
            assert_eq!(check(&mut g, &value, 1001), Check::Wrong(Fault::NonceCount), "{nc:?}");
        }
        for gone in [", nc=00000001", ", cnonce=\"c\""] {
            let value = good.replace(gone, "");
            assert_eq!(check(&mut g, &value, 1001), Check::Wrong(Fault::NonceCount), "{gone}");
        }
        assert_eq!(Fault::NonceCount.answer().0, 400);
        assert!(matches!(check(&mut g, &good, 1001), Check::Proved { .. }), "nothing was used up");
    }

    #[test]
    fn a_stale_challenge_bears_another_nonce_within_the_same_second() {
        let mut g = gate();
        let all = [g.challenge(at(1), false), g.challenge(at(1), true), g.challenge(at(1), true)];
        assert!(all[0] != all[1] && all[1] != all[2]);
        assert_eq!(all[0], g.challenge(at(1), false), "a flood of requests remembers nothing");
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let mut g = gate();
        let bad = credentials(&g, Algorithm::Md5, 1000, "00000001", "rose");
        assert_eq!(check(&mut g, &bad, 1001), Check::Wrong(Fault::BadPassword));
        let old = credentials(&g, Algorithm::Md5, 1000, "00000001", "tulip");
        assert_eq!(check(&mut g, &old, 1301), Check::Challenge { stale: true });
        let foreign = old.replace("realm=\"portreeve\"", "realm=\"other\"");
        assert_eq!(check(&mut g, &foreign, 1001), Check::Challenge { stale: false });
        let user = old.replace("username=\"101\"", "username=\"alice\"");
        assert_eq!(check(&mut g, &user, 1001), Check::Wrong(Fault::UnknownUser));
        let algorithm = old.replace("algorithm=MD5", "algorithm=SHA-512-256");
        assert_eq!(check(&mut g, &algorithm, 1001), Check::Wrong(Fault::Algorithm));
        assert!(
            g.challenge(at(1), true)[0].contains("SHA-256") && !format!("{g:?}").contains("tulip")
        );
    }

    #[test]
    fn the_rfc_7616_example_hashes_as_printed() {
        let a = Algorithm::Md5;
        let ha1 = a.hex("Mufasa:http-auth@example.org:Circle of Life");
        let ha2 = a.hex("GET:/dir/index.html");
        let middle = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v:00000001:f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ:auth";
        assert_eq!(a.hex(&format!("{ha1}:{middle}:{ha2}")), "8ca523f5e9506fed4657c9700eebdbec");
    }

    proptest! {
        #[test]
        fn no_value_panics(value in "\\PC{0,200}") {
            let _ = check(&mut gate(), &value, 5);
            let _ = check(&mut gate(), &format!("Digest {value}"), 5);
        }
    }
}
