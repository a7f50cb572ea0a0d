//! Rules and dashboards speak of what the catalogue has and of nothing else, and every panel says what
//! it shows. That the queries answer is shown against a real Prometheus (`peers/prometheus.py`).

use portreeve::admin::catalogue::{self, Family, Type, Values};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const BOARDS: [&str; 3] = ["site", "call_quality", "security"];
const GREY: &str = "#8e8e8e";

fn read(name: &str) -> String {
    fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

fn board(name: &str) -> Value {
    serde_json::from_str(&read(&format!("grafana/dashboards/{name}.json"))).expect(name)
}

fn list(v: &Value) -> &[Value] {
    v.as_array().map_or(&[], Vec::as_slice)
}

fn text(v: &Value) -> &str {
    v.as_str().unwrap_or("")
}

// What a query names -----------------------------------------------------------------------------

/// One condition of a selector: label, operator, value.
type Condition = (String, String, String);

/// What is read of a query: no more than is needed to compare it with the catalogue.
#[derive(Debug, Default)]
struct Query {
    metrics: Vec<(String, Vec<Condition>)>,
    grouped: BTreeSet<String>,
}

const AGGREGATORS: [&str; 6] = ["sum", "max", "min", "avg", "count", "topk"];
const GROUPING: [&str; 4] = ["by", "without", "on", "ignoring"];
const OPERATORS: [&str; 4] = ["and", "or", "unless", "bool"];

fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    &rest[..end.unwrap_or(rest.len())]
}

fn conditions(inner: &str) -> Vec<Condition> {
    let mut out = Vec::new();
    let mut rest = inner;
    while let Some((label, after)) = rest.split_once(['=', '!']) {
        let operator_starts = label.len();
        let quote = after.find('"').expect("a quoted value") + operator_starts + 1;
        let operator = &rest[operator_starts..quote];
        let value_end = rest[quote + 1..].find('"').expect("an ended value") + quote + 1;
        let value = &rest[quote + 1..value_end];
        out.push((label.trim_matches([',', ' ']).into(), operator.into(), value.into()));
        rest = &rest[value_end + 1..];
    }
    out
}

impl Query {
    fn of(expr: &str) -> Self {
        let mut q = Self::default();
        let mut rest = expr;
        while let Some(first) = rest.chars().next() {
            let name = word(rest);
            if first == '[' {
                rest = rest.split_once(']').expect("an ended range").1;
            } else if first == '{' {
                let (inner, after) = rest[1..].split_once('}').expect("an ended selector");
                q.metrics.last_mut().expect("a named selector").1 = conditions(inner);
                rest = after;
            } else if name.is_empty() || first.is_ascii_digit() {
                rest = &rest[name.len().max(first.len_utf8())..];
            } else {
                rest = q.name(name, rest[name.len()..].trim_start());
            }
        }
        q
    }

    /// A word that is a metric, a function or grammar; returns what is left.
    fn name<'a>(&mut self, name: &str, rest: &'a str) -> &'a str {
        if GROUPING.contains(&name) {
            let (inner, after) = rest[1..].split_once(')').expect("labels");
            self.grouped.extend(inner.split(',').map(|l| l.trim().to_owned()));
            return after;
        }
        let grammar = AGGREGATORS.contains(&name) || OPERATORS.contains(&name);
        if !grammar && !rest.starts_with('(') {
            self.metrics.push((name.to_owned(), Vec::new()));
        }
        rest
    }
}

/// The family behind a series name, and whether it is its buckets.
fn family(series: &str) -> Option<(&'static Family, bool)> {
    catalogue::all().find_map(|f| {
        let histogram = matches!(f.kind, Type::Histogram(_));
        let suffix = series.strip_prefix(f.name)?;
        let fits = match suffix {
            "" => !histogram,
            "_bucket" | "_sum" | "_count" => histogram,
            _ => false,
        };
        fits.then_some((f, suffix == "_bucket"))
    })
}

/// What is wrong with a value that a condition asks for.
fn wrong_value(f: &Family, (label, operator, value): &Condition) -> Option<String> {
    if value.contains('$') || ["instance", "job"].contains(&label.as_str()) {
        return None;
    }
    if label == "le" {
        let Type::Histogram(bounds) = f.kind else { return Some("le of no histogram".into()) };
        let asked: f64 = value.parse().ok()?;
        // Prometheus 3 writes whole bounds anew ("1" becomes "1.0"): such a query would find nothing.
        let safe = operator == "=" && asked.fract() != 0.0;
        return (!safe || !bounds.contains(&asked)).then(|| format!("le {value}"));
    }
    let (_, values) = f.labels.iter().find(|(l, _)| l == label)?;
    let Values::Closed(all) = values else { return None };
    let asked: Vec<&str> =
        if operator.ends_with('~') { value.split('|').collect() } else { vec![value] };
    let unknown: Vec<_> = asked.into_iter().filter(|v| !all.contains(v)).collect();
    (!unknown.is_empty()).then(|| format!("{label} {unknown:?}"))
}

/// Everything in a query that neither the catalogue nor the recording rules have.
pub(super) fn unknown(expr: &str, legend: &str, records: &BTreeSet<String>) -> Vec<String> {
    let q = Query::of(expr);
    let mut broken = Vec::new();
    let mut labels: BTreeSet<&str> = ["instance", "job"].into();
    if q.metrics.is_empty() {
        broken.push("no metric".to_owned());
    }
    for (name, conditions) in &q.metrics {
        let mut own: BTreeSet<&str> = ["instance", "job"].into();
        if let Some((f, buckets)) = family(name) {
            own.extend(f.labels.iter().map(|(l, _)| *l));
            if buckets {
                own.insert("le");
            }
            broken.extend(conditions.iter().filter_map(|c| wrong_value(f, c)));
        } else if records.contains(name) {
            // level:metric:operations; the level names the labels.
            own.extend(name.split(':').next().expect("a level").split('_'));
        } else if name == "ALERTS" {
            own.extend(["alertname", "alertstate", "severity"]);
        } else if name != "up" {
            broken.push(format!("no metric {name}"));
        }
        let strange = conditions.iter().filter(|(l, ..)| !own.contains(l.as_str()));
        broken.extend(strange.map(|(l, ..)| format!("{name} has no label {l}")));
        labels.extend(own);
    }
    let shown = legend.split("{{").skip(1).filter_map(|l| l.split_once("}}")).map(|(l, _)| l);
    let all = q.grouped.iter().map(String::as_str).chain(shown);
    broken.extend(all.filter(|l| !labels.contains(l)).map(|l| format!("nothing has label {l}")));
    broken
}

// The rules file, read as far as it needs --------------------------------------------------------

#[derive(Debug, Default)]
struct Rule {
    record: bool,
    name: String,
    fields: BTreeMap<String, String>,
}

/// `- record:` and `- alert:` entries, `key: value` lines and folded blocks.
fn rules() -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    let mut block: Option<String> = None;
    for line in read("grafana/rules.yml").lines() {
        let entry = line.trim_start();
        if entry.starts_with('#') || entry.is_empty() {
            continue;
        }
        let depth = line.len() - entry.len();
        let new = entry.strip_prefix("- ").and_then(|e| e.split_once(": "));
        if let Some((kind @ ("record" | "alert"), name)) = new {
            out.push(Rule { record: kind == "record", name: name.into(), ..Rule::default() });
            block = None;
        } else if let (Some(key), true, Some(rule)) = (&block, depth > 8, out.last_mut()) {
            let value = rule.fields.entry(key.clone()).or_default();
            value.push(' ');
            value.push_str(entry);
        } else if let (Some((key, value)), Some(rule)) = (entry.split_once(':'), out.last_mut()) {
            let value = value.trim();
            block = (value == ">-").then(|| key.to_owned());
            let value = if block.is_some() { "" } else { value };
            rule.fields.insert(key.to_owned(), value.trim_matches('"').to_owned());
        }
    }
    assert!(out.len() > 20, "the rules were read");
    out
}

pub(super) fn records() -> BTreeSet<String> {
    rules().into_iter().filter(|r| r.record).map(|r| r.name).collect()
}

fn targets() -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    for name in BOARDS {
        for panel in list(&board(name)["panels"]) {
            for t in list(&panel["targets"]) {
                let place = format!("{name}: {}", text(&panel["title"]));
                out.push((place, text(&t["expr"]).into(), text(&t["legendFormat"]).into()));
            }
        }
    }
    assert!(out.len() > 40, "the panels were read");
    out
}

#[test]
fn queries_name_only_what_the_catalogue_has() {
    let records = records();
    let mut broken = Vec::new();
    for r in rules() {
        let expr = r.fields.get("expr").cloned().unwrap_or_default();
        broken.extend(unknown(&expr, "", &records).into_iter().map(|b| format!("{}: {b}", r.name)));
    }
    for (place, expr, legend) in targets() {
        let found = unknown(&expr, &legend, &records);
        broken.extend(found.into_iter().map(|b| format!("{place}: {b}")));
        for (metric, conditions) in Query::of(&expr).metrics {
            let chosen = conditions.iter().any(|(l, o, v)| {
                (l.as_str(), o.as_str(), v.as_str()) == ("instance", "=~", "$instance")
            });
            if !chosen {
                broken.push(format!("{place}: {metric} of every gateway, not of $instance"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_wrong_query_is_seen() {
    let none = BTreeSet::new();
    for (expr, legend, said) in [
        ("portreeve_calls", "", "no metric portreeve_calls"),
        ("portreeve_media_mos", "", "no metric portreeve_media_mos"),
        ("rate(portreeve_media_mos_bucket{le=\"3.5\"}[10m])", "", "le 3.5"),
        ("rate(portreeve_media_mos_bucket{le=\"2\"}[10m])", "", "le 2"),
        ("portreeve_calls_total{outcome=~\"answered|lost\"}", "", "outcome [\"lost\"]"),
        ("portreeve_calls_total{side=\"inside\"}", "", "portreeve_calls_total has no label side"),
        ("sum by (side) (portreeve_calls_total)", "", "nothing has label side"),
        ("portreeve_active_calls", "{{outcome}}", "nothing has label outcome"),
        ("instance:portreeve_asr:ratio30m > 0.5", "", "no metric instance:portreeve_asr:ratio30m"),
        ("vector(0)", "", "no metric"),
    ] {
        assert_eq!(unknown(expr, legend, &none), [said], "{expr}");
    }
    let good = "topk(3, sum by (rule) (increase(portreeve_policy_decisions_total{action!=\"deny\"}\
                [$__range]))) or up";
    assert_eq!(unknown(good, "{{rule}}", &none), Vec::<String>::new());
}

#[test]
fn every_alert_is_explained_and_tried_both_ways() {
    let (tests, book) = (read("grafana/rules_test.yml"), read("docs/ALERTS.md"));
    let page = read("docs/MONITORING.md");
    let mut broken = Vec::new();
    let mut names = BTreeSet::new();
    for r in rules().iter().filter(|r| !r.record) {
        names.insert(r.name.clone());
        let field = |key: &str| r.fields.get(key).map_or("", String::as_str);
        let anchor = format!("docs/ALERTS.md#{}", r.name.to_lowercase());
        let severity = field("labels");
        let complete = !field("summary").is_empty()
            && !field("description").is_empty()
            && ["{severity: critical}", "{severity: warning}"].contains(&severity);
        let word = severity.trim_start_matches("{severity: ").trim_end_matches('}');
        for (kept, what) in [
            (r.name.starts_with("Portreeve"), "another name"),
            (complete, "no severity, summary or description"),
            (field("runbook_url") == anchor, "another runbook"),
            (book.contains(&format!("\n## {}\n{word} · ", r.name)), "not in docs/ALERTS.md so"),
            (page.contains(&format!("| `{}` | ", r.name)), "not in docs/MONITORING.md"),
            (tests.contains(&format!("- alertname: {}\n", r.name)), "never fires in a test"),
            (tests.contains(&format!("{{alertname: {}, eval", r.name)), "never silent in a test"),
        ] {
            if !kept {
                broken.push(format!("{}: {what}", r.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let told: BTreeSet<_> =
        book.lines().filter_map(|l| l.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(told, names);
}

// The dashboards ---------------------------------------------------------------------------------

/// What is wrong with one panel by itself.
fn panel_faults(panel: &Value) -> Vec<&'static str> {
    let field = &panel["fieldConfig"]["defaults"];
    let source = |v: &Value| v["datasource"]["uid"] == "$datasource";
    let targets = list(&panel["targets"]);
    let letters: BTreeSet<_> = targets.iter().map(|t| text(&t["refId"])).collect();
    let steps = list(&field["thresholds"]["steps"]);
    let unknown_is_grey = steps.first().is_none_or(|s| s["value"].is_null() && s["color"] == GREY);
    let coloured = ["stat", "bargauge", "state-timeline"].contains(&text(&panel["type"]));
    [
        (text(&panel["title"]).is_empty(), "no title"),
        (!text(&panel["description"]).ends_with('.'), "no description"),
        (text(&field["unit"]).is_empty(), "no unit"),
        (text(&field["noValue"]).is_empty(), "nothing to say where nothing is known"),
        (!source(panel) || !targets.iter().all(source), "another datasource"),
        (targets.is_empty() || letters.len() != targets.len(), "no targets or one letter twice"),
        (!unknown_is_grey || coloured && steps.len() < 2, "the unknown has a colour"),
    ]
    .into_iter()
    .filter_map(|(bad, what)| bad.then_some(what))
    .collect()
}

fn cells(panel: &Value) -> impl Iterator<Item = (u64, u64)> {
    let of = |key: &str| panel["gridPos"][key].as_u64().expect("a grid position");
    let (x, y, w, h) = (of("x"), of("y"), of("w"), of("h"));
    assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
    (x..x + w).flat_map(move |cx| (y..y + h).map(move |cy| (cx, cy)))
}

#[test]
fn dashboards_are_whole() {
    let mut uids = BTreeSet::new();
    let mut broken = Vec::new();
    for name in BOARDS {
        let b = board(name);
        let variables: Vec<_> = list(&b["templating"]["list"]).iter().map(|v| &v["name"]).collect();
        assert_eq!(variables, ["datasource", "instance"], "{name}");
        assert!(b["schemaVersion"].as_u64().is_some_and(|v| v >= 39), "{name}");
        assert!(b.get("__inputs").is_none() && b.get("id").is_none(), "{name} imports by hand");
        assert!(
            text(&b["uid"]).starts_with("portreeve-") && uids.insert(text(&b["uid"]).to_owned())
        );
        let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in list(&b["panels"]) {
            let title = text(&panel["title"]);
            let faults = panel_faults(panel).into_iter();
            broken.extend(faults.map(|what| format!("{name}: {title}: {what}")));
            if !ids.insert(panel["id"].as_u64()) || !titles.insert(title) {
                broken.push(format!("{name}: {title}: twice"));
            }
            if !cells(panel).all(|c| taken.insert(c)) {
                broken.push(format!("{name}: {title}: lies over another"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_site_is_one_screen() {
    let lowest = list(&board("site")["panels"]).iter().flat_map(cells).map(|(_, y)| y).max();
    assert!(lowest.is_some_and(|y| y < 26), "1080 lines hold 26 rows: {lowest:?}");
}

#[test]
fn what_is_mounted_is_what_is_provisioned() {
    let provider = read("grafana/provisioning/dashboards/portreeve.yml");
    let compose = read("docker/compose.yaml");
    assert!(provider.contains("path: /var/lib/grafana/dashboards\n"));
    assert!(compose.contains("../grafana/dashboards:/var/lib/grafana/dashboards:ro"));
    assert!(read("grafana/prometheus/prometheus.yml").contains("- ../rules.yml\n"));
    assert!(read("grafana/provisioning/datasources/portreeve.yml").contains("type: prometheus\n"));
}
