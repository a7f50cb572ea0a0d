//! What stands between blocks: `portreeve …` command lines, metrics, configuration keys, files and
//! links. Each must exist.

use portreeve::admin::catalogue;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn exists(path: &str) -> bool {
    super::root().join(path).exists()
}

/// Anchors of a page's headings, as GitHub makes them.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let heading = |l: &str| {
        let title = l.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines().filter(|l| l.starts_with('#')).map(heading).collect()
}

/// What exists.
pub(super) struct Known {
    metrics: BTreeSet<String>,
    /// `media.idle`
    keys: BTreeSet<String>,
    sections: BTreeSet<String>,
}

impl Known {
    pub(super) fn new() -> Self {
        let mut keys = BTreeSet::new();
        let mut sections = BTreeSet::new();
        let mut section = String::new();
        for line in super::read("configs/edge.toml").lines() {
            let line = line.trim_start_matches("# ");
            if let Some(rest) = line.strip_prefix('[') {
                section = rest.trim_matches('[').split(']').next().unwrap_or("").to_owned();
                sections.insert(section.clone());
                continue;
            }
            let Some((key, value)) = line.split_once(" = ") else { continue };
            if !key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
                continue;
            }
            if section.is_empty() {
                keys.insert(key.to_owned());
                sections.insert(key.to_owned());
            }
            let own = if section.is_empty() { key } else { &section };
            keys.insert(format!("{own}.{key}"));
            // Keys of an inline table.
            for part in value.split(['{', ',']).filter_map(|p| p.split_once('=')) {
                keys.insert(format!("{own}.{}", part.0.trim()));
            }
        }
        for key in
            ["site.domain", "interface.device", "upstream.targets", "interface.media_networks"]
        {
            keys.insert(key.to_owned());
        }
        for key in ["rule.to", "rule.action"] {
            keys.insert(key.to_owned());
        }
        let metrics = catalogue::all().map(|f| f.name.to_owned()).collect();
        Self { metrics, keys, sections }
    }

    /// What is wrong with a line of prose.
    pub(super) fn faults<'a>(
        &'a self,
        page: &'a str,
        line: &'a str,
    ) -> impl Iterator<Item = String> + 'a {
        let spans = line.split('`').skip(1).step_by(2);
        spans.filter_map(|s| self.span(s)).chain(links(page, line))
    }

    fn span(&self, span: &str) -> Option<String> {
        if span == "portreeve" || span.starts_with("portreeve ") && !span.contains("= ") {
            return command(span);
        }
        if let Some(rest) = span.strip_prefix("portreeve_") {
            return self.metric(&format!("portreeve_{rest}"));
        }
        let first = span.split(['/', ' ']).next().unwrap_or("");
        let folders = ["docs", "configs", "docker", "grafana", "sip-tests", "src"];
        if span.contains('/') && folders.contains(&first) && !span.contains(['*', ' ']) {
            let made = ["docker/.env", "docker/portreeve.toml"].contains(&span);
            return (!made && !exists(span)).then(|| format!("no file {span}"));
        }
        self.key(span)
    }

    fn metric(&self, text: &str) -> Option<String> {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &text[..end.unwrap_or(text.len())];
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|s| name.strip_suffix(s));
        let known = self.metrics.contains(name) || base.is_some_and(|b| self.metrics.contains(b));
        (!known).then(|| format!("no metric {name}"))
    }

    /// `media.idle`, `media.idle = "60s"`, `learn = "strict"`.
    fn key(&self, span: &str) -> Option<String> {
        let (key, value) = span.split_once(" = ").unwrap_or((span, ""));
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if let Some((section, own)) = key.split_once('.') {
            let ours = self.sections.contains(section) && !own.is_empty() && own.chars().all(word);
            return (ours && !self.keys.contains(key)).then(|| format!("no key {key}"));
        }
        if value.is_empty() || key.is_empty() || !key.chars().all(word) {
            return None;
        }
        let somewhere = |k: &String| k == key || k.split_once('.').is_some_and(|(_, k)| k == key);
        (!self.keys.iter().any(somewhere)).then(|| format!("no section has a key {key}"))
    }
}

/// Commands in a sentence, `portreeve status | drain` for several: words in capitals stand for what
/// the reader puts there.
fn command(span: &str) -> Option<String> {
    let all = span.strip_prefix("portreeve")?.split(" | ");
    all.filter_map(one_command).next()
}

fn one_command(args: &str) -> Option<String> {
    let filled = args.split_whitespace().map(|w| {
        let capitals = w.chars().all(|c| c.is_ascii_uppercase() || ":=".contains(c));
        match (capitals, w) {
            (false, w) => w.to_owned(),
            (true, w) if w.contains(':') => "127.0.0.1:5060".to_owned(),
            (true, w) if w.contains('=') => "log.level=info".to_owned(),
            (true, _) => "1".to_owned(),
        }
    });
    super::host::own(&filled.collect::<Vec<_>>()).err()
}

/// `[text](target)`: the file and the heading are there.
fn links<'a>(page: &'a str, line: &'a str) -> impl Iterator<Item = String> + 'a {
    let targets = line.split("](").skip(1).filter_map(|t| t.split(')').next());
    targets.filter(|t| !t.starts_with("http")).filter_map(move |target| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        let path = if file.is_empty() { page.into() } else { folder.join(file) };
        let name = path.to_string_lossy().into_owned();
        if !super::root().join(&path).exists() {
            return Some(format!("a link to {name}, which is not there"));
        }
        let lost = !anchor.is_empty() && !anchors(&super::read(&name)).contains(&anchor.to_owned());
        lost.then(|| format!("{name} has no heading #{anchor}"))
    })
}
