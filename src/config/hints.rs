//! What a mistake of writing is likely to be meant as: hints for syntax that TOML refuses, for keys
//! that other products have, for values without their quotes or units. It decides nothing: what it
//! speaks of is a fault already, and goes on as one of `reader`.

use super::reader::{Source, Value, suggestion};
use std::ops::Range;
use toml::de::DeValue;

/// Tables that there may be several of.
const LISTS: [&str; 5] = ["interface", "upstream", "rule", "rule_test", "peer"];

/// Tells syntax errors as (place, the parser's words), each with what would mend it.
pub(super) fn syntax(errors: &[(Range<usize>, String)], src: &mut Source<'_>) {
    let mut told: Option<usize> = None;
    // The end of a table that is told of as a whole.
    let mut passed = 0;
    for (span, message) in errors {
        let line = line(src.text, span.start);
        let is_twice = message == "duplicate key";
        if told == Some(line.start) || is_twice && span.start < passed {
            continue;
        }
        told = Some(line.start);
        if let Some(list) = header(src.text.get(line.clone()).unwrap_or_default())
            && is_twice
        {
            let what = format!("[{list}] stands here for the second time");
            let hint = format!("write [[{list}]], in double brackets, at each of them");
            src.fault("syntax", span.clone(), what, Some(hint));
            let rest = src.text.get(line.end..).unwrap_or_default();
            passed = rest.find("\n[").map_or(src.text.len(), |at| line.end + at);
            continue;
        }
        let (place, what, hint) = odd_character(src.text, line.clone())
            .or_else(|| unquoted(src.text, line, span.start))
            .unwrap_or_else(|| (span.clone(), message.clone(), by_words(message, span, src.text)));
        src.fault("syntax", place, what, hint);
    }
}

type Meant = (Range<usize>, String, Option<String>);

/// The line that holds a place, without its end.
fn line(text: &str, at: usize) -> Range<usize> {
    // A fault at the end of a line is one of that line.
    let start = text.get(..at.min(text.len())).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
    let rest = text.get(start..).unwrap_or_default();
    start..start + rest.find('\n').unwrap_or(rest.len())
}

/// `[interface]`.
fn header(line: &str) -> Option<&'static str> {
    let name = line.trim().strip_prefix('[')?.split(']').next()?.trim();
    LISTS.into_iter().find(|list| *list == name)
}

/// Quotes and spaces as word processors and web pages make them, outside of a string.
fn odd_character(text: &str, line: Range<usize>) -> Option<Meant> {
    let written = text.get(line.clone())?;
    let code = written.split('#').next()?;
    let odd = |c: char| match c {
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' => Some("\""),
        '\u{2018}'..='\u{201b}' | '\u{b4}' | '\u{2032}' => Some("'"),
        '\u{a0}' | '\u{2000}'..='\u{200d}' | '\u{202f}' | '\u{3000}' | '\u{feff}' => Some("space"),
        _ => None,
    };
    code.char_indices().find_map(|(at, c)| {
        let plain = odd(c)?;
        let (before, after) = code.split_at_checked(at)?;
        if before.matches('"').count() % 2 == 1 && after.contains('"') {
            return None;
        }
        let place = line.start + at..line.start + at + c.len_utf8();
        let code = u32::from(c);
        Some(if plain == "space" {
            let what = format!("a space of another kind (U+{code:04X}) stands here");
            (place, what, Some("type an ordinary space in its place, or nothing".to_owned()))
        } else {
            let what = format!("{c} (U+{code:04X}) is no quote of TOML");
            (place, what, Some(format!("type {plain} in its place, before and behind the text")))
        })
    })
}

/// `address = 10.17.0.1`.
fn unquoted(text: &str, line: Range<usize>, at: usize) -> Option<Meant> {
    let written = text.get(line.clone())?;
    let (key, rest) = written.split_once('=')?;
    let begin = line.start + key.len() + 1;
    let key = key.trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let word = rest.split('#').next()?.trim();
    let plain = |c: char| bare(c) || matches!(c, '.' | ':' | '/' | '*' | '+' | '@' | '%' | ' ');
    let is_word = word.starts_with(|c: char| c.is_ascii_alphanumeric() || "+*/".contains(c));
    if at < begin || key.is_empty() || !key.chars().all(bare) || !is_word {
        return None;
    }
    if !word.chars().all(plain) {
        return None;
    }
    let start = begin + rest.find(word)?;
    let what = format!("`{key}` must be a string in quotes");
    Some((start..start + word.len(), what, Some(format!("write {key} = \"{word}\""))))
}

/// By what the parser says.
fn by_words(message: &str, span: &Range<usize>, text: &str) -> Option<String> {
    const BARE: [&str; 4] = ["string values", "invalid float", "invalid date", "invalid integer"];
    if BARE.iter().any(|words| message.starts_with(words)) {
        let is_of = |c: char| c.is_ascii_alphanumeric() || "._:/*+@%-".contains(c);
        let (before, after) = text.split_at_checked(span.start)?;
        let before = before.len() - before.trim_end_matches(is_of).len();
        let after = after.len() - after.trim_start_matches(is_of).len();
        let word = text.get(span.start - before..span.start + after)?;
        return (!word.is_empty()).then(|| format!("write \"{word}\""));
    }
    let hint = if message == "duplicate key" {
        "it stands above already: keep one of them"
    } else if message.starts_with("key with no value") {
        "write key = value"
    } else if message.contains("string, expected") {
        "a string begins and ends with the same quote, on one line"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// What would be right in place of a value of the wrong type; `want` is as the fault says it.
pub(super) fn of_type(
    key: &str,
    value: &Value<'_>,
    want: &str,
    src: &Source<'_>,
) -> Option<String> {
    let raw = src.text.get(value.span())?.lines().next()?;
    let is_text = matches!(value.get_ref(), DeValue::String(_));
    let is_table = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
    match want {
        "a string in quotes" | "a list of strings" if !is_text && !is_table => {
            Some(format!("write \"{raw}\""))
        }
        "true or false" => Some(format!("write {key} = true or {key} = false, without quotes")),
        "a whole number" if is_text => {
            let bare = raw.trim_matches(['"', '\'']);
            bare.parse::<u64>().is_ok().then(|| format!("write {key} = {bare}, without quotes"))
        }
        _ => None,
    }
}

/// Keys that others have for what a section means, and what it is called here.
const MEANT: [(&str, &[&str], &str); 13] = [
    (
        "the configuration",
        &["trunk", "pbx", "provider", "gateway", "server", "sip_trunk", "registration", "proxy"],
        "a PBX or a trunk is an [[upstream]] with name and address",
    ),
    (
        "the configuration",
        &["user", "users", "extension", "extensions", "account", "accounts", "phone", "phones"],
        "users of the site stand in a file of their own: [registrar] users = \"FILE\"",
    ),
    (
        "the configuration",
        &["lan", "wan", "network", "networks", "inside", "outside", "listen"],
        "a network is an [[interface]] with name, side and address",
    ),
    ("the configuration", &["rtp"], "[media] has ports and idle"),
    ("the configuration", &["nat"], "`advertise` of an [[interface]] says what others are told"),
    ("the configuration", &["test", "tests", "rule_tests"], "[[rule_test]]"),
    ("[[interface]]", &["ip", "host", "bind", "ip_address", "bind_address"], "it is `address`"),
    ("[[interface]]", &["port", "ports", "transport"], "listen = [\"udp:5060\", \"tcp:5060\"]"),
    (
        "[[interface]]",
        &["external_ip", "public_ip", "external_address", "public_address", "nat"],
        "it is `advertise`: the address that others are told",
    ),
    ("[[interface]]", &["network", "subnet", "netmask"], "networks = [\"10.17.0.0/24\"]"),
    (
        "[[upstream]]",
        &[
            "user",
            "username",
            "password",
            "secret",
            "auth",
            "auth_user",
            "authuser",
            "login",
            "register",
            "registration",
            "realm",
            "account",
            "password_file",
        ],
        "the gateway has no account there: user and password stand in the phones, and pass through",
    ),
    (
        "[[upstream]]",
        &["host", "server", "ip", "port", "proxy", "registrar", "outbound_proxy"],
        "it is `address`, the port in it: address = \"198.51.100.2:5060\"",
    ),
    (
        "[registrar]",
        &["user", "username", "password", "secret"],
        "secrets stand in files of their own: `users` (one each) or `password_file` (one for all)",
    ),
];

/// What a key that is none is called here.
pub(super) fn of_key(section: &str, key: &str) -> Option<String> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let (_, _, hint) =
        MEANT.iter().find(|(s, words, _)| *s == section && words.contains(&key.as_str()))?;
    Some((*hint).to_owned())
}

/// Variables that are read whole.
const VARIABLES: [&str; 2] = ["PORTREEVE_CONFIG", "PORTREEVE_DATA"];
/// Sections that a variable may name.
const SECTIONS: [&str; 18] = [
    "audit",
    "bans",
    "control",
    "emergency",
    "hide",
    "http",
    "interface",
    "limits",
    "log",
    "media",
    "numbers",
    "policy",
    "registrar",
    "site",
    "state",
    "survive",
    "timers",
    "upstream",
];

/// Variables that begin as ours and that nobody reads, with the nearest that is read.
pub(super) fn variables<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let strange = |name: &&str| {
        let rest = name.strip_prefix("PORTREEVE_");
        // Kubernetes tells of a service named portreeve by these.
        let of_service = |rest: &str| {
            rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
        };
        // What begins with `__` is read as a key, and refused where it is none.
        rest.is_some_and(|r| !r.starts_with('_') && !of_service(r)) && !VARIABLES.contains(name)
    };
    all.filter(strange).map(|name| format!("{name} is read by nobody: {}", nearest(name))).collect()
}

fn nearest(name: &str) -> String {
    let rest = name.strip_prefix("PORTREEVE_").unwrap_or_default();
    let mut words = rest.splitn(2, '_');
    let (first, more) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let section = SECTIONS.iter().find(|s| s.eq_ignore_ascii_case(first));
    if let (Some(section), false) = (section, more.is_empty()) {
        let more = more.trim_start_matches('_');
        return format!("did you mean PORTREEVE__{}__{more}?", section.to_ascii_uppercase());
    }
    suggestion(name, VARIABLES.into_iter()).unwrap_or_else(|| {
        format!("there are {} and PORTREEVE__SECTION__KEY", VARIABLES.join(", "))
    })
}

#[cfg(test)]
mod tests;
