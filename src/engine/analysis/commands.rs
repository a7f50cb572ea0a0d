//! What makes a phone act without who sits before it: a NOTIFY that nobody subscribed to, a REFER
//! or INFO outside dialogs, headers by which it answers a call itself. It says what such a command
//! is and whom `policy.remote_control` grants it, and takes the headers out; what becomes of a
//! request is policy's word.

use super::Incoming;
use super::strip::matches;
use crate::config::{Allow, RemoteControl};
use crate::engine::attempt::{Route, Sender};
use crate::engine::phones::Phones;
use crate::engine::world::World;
use crate::ground::Side;
use crate::wire::sip::{Message, Method, Name};

/// Events that tell and command nothing: messages that wait (RFC 3842), and what keeps a NAT open.
const TELLING: [&str; 2] = ["message-summary", "keep-alive"];
/// Events by which products are restarted, provided or operated from afar.
const COMMANDING: [&str; 9] = [
    "check-sync",
    "resync",
    "reboot",
    "restart",
    "ua-profile",
    "service-control",
    "talk",
    "hold",
    "answer",
];
/// Marks of headers, and of values of Alert-Info and Call-Info, that make a phone answer by itself
/// (RFC 5373, and what products agree on), without what is no letter.
const NAMES: [&str; 3] = ["answermode", "autoanswer", "answerafter"];
const VALUES: [&str; 4] = ["autoanswer", "answerafter", "ringanswer", "intercom"];

/// Whether a request outside a dialog commands phones, and only a rule that names its method may
/// let it pass.
pub(crate) fn needs_rule(
    w: &World,
    phones: &Phones,
    i: &Incoming,
    (sender, trusted): (&Sender, bool),
    route: &Route,
) -> bool {
    match (route, i.method()) {
        // INFO means nothing outside a dialog (RFC 6086 §4.2.1), and phones play what it brings.
        (Route::Bindings(_), Method::Refer | Method::Info) => true,
        (Route::Bindings(keys), Method::Notify) => {
            !is_telling(&i.message) && !is_granted(w, phones, i, (sender, trusted), keys)
        }
        // It would come back for another phone.
        (Route::Upstream(_), Method::Notify) => {
            sender.side == Side::Inside && is_commanding(&i.message)
        }
        (Route::Bindings(_) | Route::Upstream(_) | Route::Gateway | Route::Unknown, _) => false,
    }
}

/// Whether the sender may command the phones of these bindings: the upstream that registered them,
/// which is trusted, and which says it itself: what it only forwards bears the Via of who did.
pub(crate) fn is_granted(
    w: &World,
    phones: &Phones,
    i: &Incoming,
    (sender, trusted): (&Sender, bool),
    keys: &[String],
) -> bool {
    let Some(name) = sender.upstream.and_then(|id| w.upstream_name(id)) else { return false };
    let granted = |key: &String| phones.binding(key).is_some_and(|b| b.upstream == name);
    is_own_word(w, i) && trusted && keys.iter().all(granted)
}

/// Whether an upstream says a command itself, as far as the configuration asks for that.
pub(crate) fn is_own_word(w: &World, i: &Incoming) -> bool {
    match w.config().policy.remote_control {
        RemoteControl::Registrar => i.message.list(&Name::Via).count() == 1,
        RemoteControl::Forwarded => true,
        RemoteControl::Refuse => false,
    }
}

/// Takes out of a request to a phone what would make it answer by itself, but for what a rule
/// keeps.
pub(crate) fn silence(request: &mut Message, allow: &Allow) {
    let kept = |name: &Name| allow.keep.iter().any(|p| matches(p, name.as_str()));
    request.retain(|name, _| !bears(name.as_str().as_bytes(), &NAMES) || kept(name));
    for name in ["Alert-Info", "Call-Info"].map(Name::parse) {
        let values: Vec<Vec<u8>> = request.list(&name).map(<[u8]>::to_vec).collect();
        if kept(&name) || !values.iter().any(|v| bears(v, &VALUES)) {
            continue;
        }
        request.remove(&name);
        for value in values.iter().filter(|v| !bears(v, &VALUES)) {
            request.push_back(name.clone(), value.as_slice());
        }
    }
}

fn bears(text: &[u8], marks: &[&str]) -> bool {
    let letters = text.iter().filter(|b| b.is_ascii_alphanumeric());
    let letters: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    marks.iter().any(|mark| letters.windows(mark.len()).any(|part| part == mark.as_bytes()))
}

/// Every event of a NOTIFY is one that tells; without an event it is none.
fn is_telling(notify: &Message) -> bool {
    let mut rows = notify.rows(&Name::Event).peekable();
    rows.peek().is_some() && rows.all(|row| is_one_of(row, &TELLING))
}

/// A NOTIFY has an event that commands.
pub(crate) fn is_commanding(notify: &Message) -> bool {
    let mut values = notify.list(&Name::Event);
    values.any(|value| is_one_of(value, &COMMANDING))
}

fn is_one_of(event: &[u8], all: &[&str]) -> bool {
    let package = event.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    all.iter().any(|known| package.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(rows: &[(&str, &str)], keep: &[&str]) -> Vec<String> {
        let mut m = Message::request(Method::Invite, "sip:x");
        for (name, value) in rows {
            m.push_back(Name::parse(name), *value);
        }
        let keep = keep.iter().map(|k| (*k).to_owned()).collect();
        silence(&mut m, &Allow { keep, ..Allow::default() });
        let names = ["Alert-Info", "Call-Info", "Answer-Mode", "Priv-Answer-Mode"];
        let names = names.iter().chain(&["P-Auto-Answer", "X-AutoAnswer"]);
        names
            .flat_map(|n| m.rows(&Name::parse(n)).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .map(|v| String::from_utf8(v).expect("text"))
            .collect()
    }

    #[test]
    fn what_makes_a_phone_answer_is_taken_out_and_how_it_rings_is_not() {
        for (name, value) in [
            ("Answer-Mode", "Auto"),
            ("Priv-Answer-Mode", "Auto;require"),
            ("p-auto-answer", "normal"),
            ("X-AutoAnswer", "1"),
            ("Call-Info", "<sip:x>;answer-after=0"),
            ("Call-Info", "<sip:x>; Answer-After = 0"),
            ("Alert-Info", "<http://x>;info=alert-autoanswer;delay=0"),
            ("Alert-Info", "Auto Answer"),
            ("Alert-Info", "Ring Answer"),
            ("Alert-Info", "<http://x>;info=intercom"),
        ] {
            assert_eq!(left(&[(name, value)], &[]), [""; 0], "{name}: {value}");
            assert_eq!(left(&[(name, value)], &[name]), [value], "kept");
        }
        let ring = "<http://x>;info=alert-external";
        assert_eq!(left(&[("Alert-Info", ring)], &[]), [ring]);
        let both = format!("<http://x>;info=alert-autoanswer, {ring}");
        assert_eq!(left(&[("Alert-Info", &both)], &[]), [ring]);
    }

    #[test]
    fn a_notify_tells_only_when_all_that_it_says_is_known_to() {
        let notify = |rows: &[&str]| {
            let mut m = Message::request(Method::Notify, "sip:x");
            rows.iter().for_each(|row| m.push_back(Name::Event, *row));
            m
        };
        assert!(is_telling(&notify(&["Message-Summary"])));
        assert!(is_telling(&notify(&["keep-alive;x=1"])));
        for rows in [&[][..], &["message-summary", "check-sync"], &["message-summary, talk"]] {
            assert!(!is_telling(&notify(rows)), "{rows:?}");
        }
        assert!(is_commanding(&notify(&["presence, Check-Sync;reboot=true"])));
        assert!(!is_commanding(&notify(&["dialog"])));
    }
}
