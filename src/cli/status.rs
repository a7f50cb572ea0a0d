//! `status`: how the running gateway stands, on one screen.

use super::control::{self, list, number, text};
use super::table::{clock, shown, table};
use super::{ControlArgs, tunnel};
use serde_json::Value;
use std::fmt::Write as _;

/// `status --shares`: who holds how much of every table.
pub(super) fn shares(args: &ControlArgs) -> u8 {
    control::show(args, "/shares", |v| print!("{}", shares_screen(v)))
}

fn shares_screen(v: &Value) -> String {
    let heads = ["resource", "used", "total", "reserve", "fullest", "refused", "gave way"];
    let both = |row: &Value, what: &str| {
        let sides = ["inside", "outside"].map(|side| number(row, &format!("/{what}/{side}")));
        sides.iter().sum::<u64>().to_string()
    };
    let row = |row: &Value| {
        let count = |key: &str| number(row, &format!("/{key}")).to_string();
        let fullest = match text(row, "/fullest") {
            "" => "-".to_owned(),
            who => format!("{} ({})", shown(who), number(row, "/fullest_holds")),
        };
        [
            shown(text(row, "/resource")),
            count("used"),
            count("total"),
            count("reserve"),
            fullest,
            both(row, "refused"),
            both(row, "displaced"),
        ]
    };
    let rows: Vec<[String; 7]> = list(v, "/shares").iter().map(row).collect();
    table(heads, &rows)
}

pub(super) fn status(args: &ControlArgs) -> u8 {
    control::show(args, "/status", |v| print!("{}", screen(v)))
}

fn screen(v: &Value) -> String {
    let mut out = String::new();
    let draining = match v.get("drain_left_s").and_then(Value::as_u64) {
        Some(left) => format!(", calls are hung up in {}", clock(left)),
        None => String::new(),
    };
    let (version, site, state) = (text(v, "/version"), shown(text(v, "/site")), text(v, "/state"));
    let still = state == "standstill";
    let state = if still { "STANDS STILL: restart it" } else { state };
    let up = clock(number(v, "/uptime_s"));
    let _ = writeln!(out, "portreeve {version}   site {site}   up {up}   {state}{draining}");
    for ip in list(v, "/lost_addresses").iter().filter_map(Value::as_str) {
        let _ = writeln!(out, "  GONE           {} is no address of this machine", shown(ip));
    }
    for note in list(v, "/notes").iter().filter_map(Value::as_str) {
        let _ = writeln!(out, "  note           {}", shown(note));
    }
    let [early, confirmed, limit] =
        ["early", "confirmed", "limit"].map(|k| number(v, &format!("/calls/{k}")));
    let setup = if early > 0 { format!(", {early} being set up") } else { String::new() };
    let _ = writeln!(out, "  calls          {} of {limit}{setup}", early + confirmed);
    let gone = match number(v, "/registrations_gone") {
        0 => String::new(),
        n => format!(", {n} GONE: nobody reaches them until they register again"),
    };
    let _ = writeln!(out, "  registrations  {}{gone}", number(v, "/registrations"));
    for i in list(v, "/interfaces") {
        let _ = writeln!(out, "  interface      {}", interface(i));
    }
    for t in list(v, "/tunnels") {
        let _ = writeln!(out, "  tunnel         {}", tunnel::line(t));
    }
    for u in list(v, "/upstreams") {
        let _ = writeln!(out, "  upstream       {}", upstream(u));
        let targets = list(u, "/targets");
        for t in targets.iter().filter(|_| targets.len() > 1) {
            let _ = writeln!(out, "                 {}", target(t));
        }
    }
    for c in list(v, "/certificates") {
        let _ = writeln!(out, "  certificate    {}", certificate(c));
        if let Some(file) = c.get("made").and_then(Value::as_str) {
            let _ = writeln!(out, "                 for who is to believe it: {}", shown(file));
        }
    }
    let [invites, others] = ["invites", "others"].map(|k| number(v, &format!("/silenced/{k}")));
    if invites + others > 0 {
        let hint = if invites > 0 { "   is one your provider? the log has addresses" } else { "" };
        let _ =
            writeln!(out, "  strangers      {invites} INVITEs, {others} others unanswered{hint}");
    }
    let bans = number(v, "/bans");
    if bans > 0 {
        let them = if bans == 1 { "source is" } else { "sources are" };
        let _ =
            writeln!(out, "  bans           {bans} {them} not read   `portreeve bans` says why");
    }
    for side in ["inside", "outside"] {
        let [used, resting, free] =
            ["used", "quarantined", "free"].map(|k| number(v, &format!("/media_ports/{side}/{k}")));
        let _ = writeln!(out, "  ports {side:<8} {used} used, {resting} resting, {free} free");
    }
    let full = v.pointer("/audit/full").and_then(Value::as_bool) == Some(true);
    let trouble = if full { "   FULL: free space on its volume" } else { "" };
    let _ = writeln!(out, "  audit          {} records{trouble}", number(v, "/audit/records"));
    configuration(v, &mut out);
    out
}

/// Whose it is, how long it holds, and what a phone or a pin is to be told of ours.
fn certificate(c: &Value) -> String {
    let whose = match text(c, "/of") {
        "interface" => "",
        "client" => "shown to ",
        _ => "of ",
    };
    let lasts = match c.get("days").and_then(Value::as_i64) {
        None => "not known for how long".to_owned(),
        Some(days @ ..0) => format!("EXPIRED {} days ago: renew it", -days),
        Some(days @ 0..14) => format!("{days} days left: renew it"),
        Some(days) => format!("{days} days left"),
    };
    let print = match text(c, "/of") {
        "interface" => format!("   {}", shown(text(c, "/fingerprint"))),
        _ => String::new(),
    };
    let (name, names) = (shown(text(c, "/name")), shown(text(c, "/names")));
    format!("{whose}{name} ({names})   {lasts}{print}")
}

/// Where an interface that follows a device stands, for how long, and what it was not to be.
fn interface(i: &Value) -> String {
    let all = list(i, "/addresses").iter().filter_map(Value::as_str).map(shown);
    let all: Vec<String> = all.collect();
    let at = if all.is_empty() { "NO ADDRESS".to_owned() } else { all.join(", ") };
    let lasts = i.get("for_s").and_then(Value::as_u64);
    let lasts = lasts.map_or_else(String::new, |s| format!(" for {}", clock(s)));
    let changes = match number(i, "/changes") {
        0 => String::new(),
        1 => ", 1 change".to_owned(),
        n => format!(", {n} changes"),
    };
    let refused = match text(i, "/refused") {
        "" => String::new(),
        why => format!("   REFUSED: {}", shown(why)),
    };
    let others = list(i, "/others").iter().filter_map(Value::as_str).map(shown);
    let others: Vec<String> = others.collect();
    let others = match others.as_slice() {
        [] => String::new(),
        all => format!(" (which has {}, too)", all.join(", ")),
    };
    let (name, follows) = (shown(text(i, "/name")), shown(text(i, "/follows")));
    format!("{name}   {at}{lasts}   follows {follows}{others}{changes}{refused}")
}

/// Where it is, whether it answers, for how long, and why.
fn upstream(u: &Value) -> String {
    let lasts = u.get("for_s").and_then(Value::as_u64);
    let lasts = lasts.map_or_else(String::new, |s| format!(" for {}", clock(s)));
    let why = match text(u, "/why") {
        "" => String::new(),
        why => format!(": {}", shown(why)),
    };
    let state = match u.get("up").and_then(Value::as_bool) {
        Some(true) => format!("up{lasts}"),
        Some(false) => format!("down{lasts}{why}"),
        None if why.is_empty() => "not probed".to_owned(),
        None => format!("not known{lasts}{why}"),
    };
    let alone = u.get("alone_s").and_then(Value::as_u64);
    let alone = alone.map_or_else(String::new, |s| {
        format!("   ALONE for {}: phones of the site call each other", clock(s))
    });
    let at = match text(u, "/address") {
        "" => "nobody knows where",
        at => at,
    };
    let old = u.get("stale").and_then(Value::as_bool) == Some(true);
    let old = if old { "   (DNS does not answer: its last answer is used)" } else { "" };
    let seen = match text(u, "/seen_as") {
        "" => String::new(),
        ip => format!("   SEES US AS {}, which is not advertised", shown(ip)),
    };
    format!("{}   {at}   {state}{alone}{seen}{old}", shown(text(u, "/name")))
}

/// One of several targets.
fn target(t: &Value) -> String {
    let why = match text(t, "/why") {
        "" => String::new(),
        why => format!(": {}", shown(why)),
    };
    let state = match t.get("up").and_then(Value::as_bool) {
        Some(true) => "up".to_owned(),
        Some(false) => format!("rests{why}"),
        None => format!("not known{why}"),
    };
    format!("{} {}   {state}", text(t, "/address"), text(t, "/transport"))
}

fn configuration(v: &Value, out: &mut String) {
    let hash: String = text(v, "/configuration/hash").chars().take(12).collect();
    let source = shown(text(v, "/configuration/source"));
    let _ = writeln!(out, "  configuration  {source}   {hash}");
    if v.pointer("/configuration/last_reload_refused").and_then(Value::as_bool) == Some(true) {
        let _ = writeln!(
            out,
            "                 the last reload was refused: `portreeve reload` says why"
        );
    }
    let pending: Vec<String> = list(v, "/configuration/restart_pending")
        .iter()
        .filter_map(Value::as_str)
        .map(shown)
        .collect();
    if !pending.is_empty() {
        let _ = writeln!(out, "                 waits for a restart: {}", pending.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_are_a_row_a_table_with_who_holds_most() {
        let v = json!({ "shares": [
            { "resource": "calls", "used": 7, "total": 100, "reserve": 10, "fullest": "192.0.2.7",
              "fullest_holds": 5, "refused": { "inside": 1, "outside": 2 },
              "displaced": { "inside": 4, "outside": 0 } },
            { "resource": "ports", "used": 0, "total": 50, "reserve": 5, "fullest": null },
        ]});
        let told = shares_screen(&v);
        let words = |n: usize| -> Vec<&str> {
            told.lines().nth(n).unwrap_or_default().split_whitespace().collect()
        };
        assert_eq!(words(1), ["calls", "7", "100", "10", "192.0.2.7", "(5)", "3", "4"]);
        assert_eq!(words(2), ["ports", "0", "50", "5", "-", "0", "0"]);
    }

    #[test]
    fn the_screen_says_what_needs_a_hand() {
        let v = json!({
            "version": "1", "site": "x\u{1b}", "state": "draining", "drain_left_s": 65,
            "lost_addresses": ["192.0.2.7"], "notes": ["loopback only"],
            "uptime_s": 61, "calls": { "early": 1, "confirmed": 2, "limit": 9 },
            "registrations": 4, "audit": { "records": 5, "full": true },
            "upstreams": [
                { "name": "pbx", "address": "192.0.2.1:5060", "up": false, "for_s": 65,
                  "why": "it does not answer OPTIONS", "alone_s": 62 },
                { "name": "trunk", "address": "192.0.2.2:5060", "up": true, "for_s": 5,
                  "why": "it answers OPTIONS", "stale": true, "seen_as": "192.0.2.77", "targets": [
                    { "address": "192.0.2.2:5060", "transport": "udp", "up": true, "why": "" },
                    { "address": "192.0.2.9:5060", "transport": "tcp", "up": false,
                      "why": "it does not answer OPTIONS" },
                ] },
                { "name": "lost", "up": null, "for_s": 9, "why": "its name stands for no address" },
                { "name": "other", "address": "192.0.2.3:5060", "up": null, "why": "" },
                { "name": "new", "address": "192.0.2.4:5060", "up": null, "for_s": 9,
                  "why": "the configuration changed" },
            ],
            "certificates": [
                { "of": "interface", "name": "lan", "names": "10.0.0.1", "days": 3649,
                  "fingerprint": "sha-256:ab", "made": "/state/tls-lan.pem" },
                { "of": "client", "name": "trunk", "names": "site.example", "days": 13 },
                { "of": "upstream", "name": "trunk", "names": "a\u{1b}", "days": -3 },
            ],
            "silenced": { "invites": 3, "others": 17 },
            "bans": 2,
            "configuration": {
                "source": "f", "hash": "0123456789abcdef", "last_reload_refused": true,
                "restart_pending": ["media.ports"],
            },
        });
        let told = screen(&v);
        for want in [
            "site x\\u{1b}   up 1:01   draining, calls are hung up in 1:05",
            "GONE           192.0.2.7 is no address",
            "note           loopback only\n",
            "3 of 9, 1 being set up",
            "pbx   192.0.2.1:5060   down for 1:05: it does not answer OPTIONS   ALONE for 1:02",
            "trunk   192.0.2.2:5060   up for 0:05   SEES US AS 192.0.2.77, which is not advertised   (DNS ",
            "  192.0.2.9:5060 tcp   rests: it does not answer OPTIONS\n",
            "lost   nobody knows where   not known for 0:09: its name stands for no address\n",
            "other   192.0.2.3:5060   not probed\n",
            "new   192.0.2.4:5060   not known for 0:09: the configuration changed\n",
            "certificate    lan (10.0.0.1)   3649 days left   sha-256:ab\n",
            "                 for who is to believe it: /state/tls-lan.pem\n",
            "certificate    shown to trunk (site.example)   13 days left: renew it\n",
            "certificate    of trunk (a\\u{1b})   EXPIRED 3 days ago: renew it\n",
            "strangers      3 INVITEs, 17 others unanswered   is one your provider?",
            "bans           2 sources are not read   `portreeve bans` says why\n",
            "FULL",
            "f   0123456789ab\n",
            "the last reload was refused",
            "waits for a restart: media.ports",
        ] {
            assert!(told.contains(want), "{want} in\n{told}");
        }
        let why = "the event loop stands still";
        let pbx = json!({ "name": "pbx", "up": null, "why": why });
        let v = json!({ "state": "standstill", "upstreams": [pbx] });
        let told = screen(&v);
        assert!(told.contains("STANDS STILL") && told.contains("not known"), "{told}");
        assert!(!told.contains("running") && !told.contains(" up\n"), "{told}");
        assert!(screen(&json!({})).contains("0 of 0"), "an answer of another version is no fault");
    }

    #[test]
    fn an_interface_that_moves_says_where_it_stands_and_where_it_is_not_to() {
        let told = screen(&json!({
            "interfaces": [
                { "name": "wan", "addresses": ["203.0.113.7", "2001:db8::7"], "for_s": 65,
                  "follows": "device eth0", "changes": 2, "refused": "",
                  "others": ["2001:db8:bad::8"] },
                { "name": "lte", "addresses": [], "follows": "the default route", "changes": 0,
                  "refused": "10.17.0.9 is an address of the inside" },
            ],
        }));
        for want in [
            "interface      wan   203.0.113.7, 2001:db8::7 for 1:05   follows device eth0 \
             (which has 2001:db8:bad::8, too), 2 changes\n",
            "interface      lte   NO ADDRESS   follows the default route   REFUSED: 10.17.0.9 is an",
        ] {
            assert!(told.contains(want), "{want} in\n{told}");
        }
    }
}
