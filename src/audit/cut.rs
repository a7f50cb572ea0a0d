//! Fields of a record are bounded: whatever a packet holds, its record is a line of a few
//! kilobytes. What is cut ends in an ellipsis.

use super::{CallEnd, PhoneReport, Record};

/// Octets of a Call-ID, and of a text in words.
const LONG: usize = 256;
/// Octets of a name or a number.
const NAME: usize = 128;
/// Octets of a word.
const WORD: usize = 64;

fn cut(text: &mut String, most: usize) {
    const ELLIPSIS: char = '…';
    if text.len() > most {
        let most = most - ELLIPSIS.len_utf8();
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push(ELLIPSIS);
    }
}

fn cut_all<const N: usize>(all: [&mut String; N], most: usize) {
    all.into_iter().for_each(|text| cut(text, most));
}

impl Record {
    /// Cuts what is longer than a field may be.
    pub(crate) fn cut(&mut self) {
        match self {
            Self::Registration { user, registrar, .. } => cut_all([user, registrar], NAME),
            Self::CallAttempt { call_id, from, to, rule, target, tls_subject, .. } => {
                cut_all([call_id, tls_subject], LONG);
                cut_all([from, to, rule, target], NAME);
            }
            Self::CallEnd(CallEnd { call_id, from, to, media, parties, .. }) => {
                cut(call_id, LONG);
                parties.iter_mut().for_each(|p| cut(&mut p.call_id, LONG));
                cut_all([from, to], NAME);
                for stream in media {
                    cut(&mut stream.media, WORD);
                    let legs = [&mut stream.caller, &mut stream.callee];
                    legs.into_iter()
                        .filter_map(|l| l.phone_report.as_mut())
                        .for_each(|r| report(r));
                }
            }
            Self::Finding { call_id, evidence, .. } => cut_all([call_id, evidence], LONG),
            Self::QualityReport { call_id, user, report: r, .. } => {
                cut(call_id, LONG);
                cut(user, NAME);
                report(r);
            }
            Self::Verdict { method, from, to, rule, tls_subject, .. } => {
                cut(method, WORD);
                cut(tls_subject, LONG);
                cut_all([from, to, rule], NAME);
            }
            Self::Reference { call_id, from, to, rule, .. } => {
                cut(call_id, LONG);
                cut_all([from, to, rule], NAME);
            }
            Self::Security { detail, .. } => cut(detail, LONG),
            Self::Tunnel { detail, .. } => cut(detail, LONG),
            // What we say ourselves.
            Self::PeerHead { .. } | Self::Admin { .. } | Self::System { .. } => {}
        }
    }
}

fn report(r: &mut PhoneReport) {
    let figures = [Some(&mut r.heard), r.told.as_mut()].into_iter().flatten();
    let words = figures.flat_map(|f| [&mut f.codec, &mut f.algorithm]);
    words.chain([&mut r.alert]).flatten().for_each(|text| cut(text, WORD));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        for (most, given, want) in
            [(5, "abcde", "abcde"), (5, "abcdef", "ab…"), (6, "aäöü", "aä…"), (5, "😀😀", "…")]
        {
            let mut text = given.to_owned();
            cut(&mut text, most);
            assert_eq!(text, want);
            assert!(text.len() <= most);
        }
    }
}
