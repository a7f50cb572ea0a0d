//! What is shown instead of what was shown before, since files were read again: in words. It reads
//! no file.

use crate::engine::stats::{CertificateOf, CertificateView};
use crate::ground::Wall;

/// One of ours that is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct New {
    /// Whose it is, and until when it holds.
    pub(super) text: String,
    /// It holds no more.
    pub(super) expired: bool,
}

/// Certificates of ours that are other ones now.
pub(super) fn news(before: &[CertificateView], after: &[CertificateView], now: Wall) -> Vec<New> {
    let known = |c: &CertificateView| {
        before.iter().any(|b| (b.of, &b.name, &b.fingerprint) == (c.of, &c.name, &c.fingerprint))
    };
    let ours = after.iter().filter(|c| c.of != CertificateOf::Upstream && !known(c));
    ours.map(|c| told(c, now)).collect()
}

fn told(c: &CertificateView, now: Wall) -> New {
    let whose = match c.of {
        CertificateOf::Interface | CertificateOf::Upstream => "of",
        CertificateOf::Client => "shown to",
    };
    let expired = c.until <= now.seconds();
    let holds = if expired { "EXPIRED, it held until" } else { "until" };
    let date = date(c.until);
    New { text: format!("certificate {whose} {}: {holds} {date}", c.name), expired }
}

/// The day in UTC.
fn date(seconds: u64) -> String {
    let stamp = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    let day = stamp.map(|s| jiff::tz::TimeZone::UTC.to_datetime(s).date());
    day.map_or_else(|| "for ever".to_owned(), |day| day.to_string())
}
