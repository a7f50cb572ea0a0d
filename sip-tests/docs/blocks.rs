//! Markdown, as far as it matters here: fenced blocks with their info string, indented blocks (which
//! nobody may write), and the prose between them.

use std::fs;

/// One fenced block.
#[derive(Debug)]
pub(super) struct Block {
    /// What stands behind the opening fence.
    pub(super) info: String,
    /// Line of the opening fence.
    pub(super) line: usize,
    pub(super) text: String,
}

/// One page.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// `docs/START.md`.
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
    /// Lines where an indented block begins.
    pub(super) indented: Vec<usize>,
    /// Numbered lines outside of blocks.
    pub(super) prose: Vec<(usize, String)>,
}

/// README.md and docs/*.md.
pub(super) fn pages() -> Vec<Page> {
    let mut names: Vec<String> = fs::read_dir(super::root().join("docs"))
        .unwrap()
        .map(|e| format!("docs/{}", e.unwrap().file_name().to_string_lossy()))
        .filter(|n| n.ends_with(".md"))
        .collect();
    names.push("README.md".to_owned());
    names.sort();
    assert!(names.len() > 8, "the pages are found: {names:?}");
    names.into_iter().map(|n| page(&n, &super::read(&n))).collect()
}

fn page(name: &str, text: &str) -> Page {
    let mut page = Page { name: name.to_owned(), ..Page::default() };
    let mut open: Option<Block> = None;
    let mut blank = true;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                let info = info.trim().to_owned();
                open = Some(Block { info, line: number, text: String::new() });
            }
            (Some(_), Some("")) => page.blocks.extend(open.take()),
            (Some(b), _) => {
                b.text.push_str(line);
                b.text.push('\n');
            }
            (None, None) => {
                if blank && line.starts_with("    ") && !line.trim().is_empty() {
                    page.indented.push(number);
                }
                blank = line.trim().is_empty();
                page.prose.push((number, line.to_owned()));
            }
        }
    }
    assert!(open.is_none(), "{name}: a block is never closed");
    page
}
