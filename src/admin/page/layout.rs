//! The frame of every page, and tables. It knows nothing of calls.

use maud::{DOCTYPE, Markup, html};

/// Where one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Now,
    Calls,
    Book,
}

/// A whole page. `events`: where it hears of changes; `None`: nothing changes any more.
pub(super) fn page(
    tab: Tab,
    site: &str,
    title: &str,
    events: Option<&str>,
    main: &Markup,
) -> Markup {
    let link = |own: Tab, to: &str, name: &str| {
        let here = (own == tab).then_some("page");
        html! { a href=(to) aria-current=[here] { (name) } }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · " (site) " · portreeve" }
                link rel="stylesheet" href="/page.css";
                link rel="icon" href="data:,";
                script src="/page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header {
                    div {
                        p.brand { "portreeve" span { (site) } }
                        nav aria-label="Pages" {
                            (link(Tab::Now, "/", "Now"))
                            (link(Tab::Calls, "/last", "Calls"))
                            (link(Tab::Book, "/book", "Book"))
                        }
                        p.live {
                            span #live role="status" { "as of when it was opened" }
                            button #pause type="button" hidden { "Pause" }
                        }
                    }
                }
                main #main tabindex="-1" data-events=[events] { (main) }
                footer {
                    "Read only: what changes anything is a command ("
                    code { "portreeve --help" } ")."
                    noscript { " Times are in UTC." }
                }
            }
        }
    }
}

/// A page for who may not look, or for what is not there.
pub(super) fn bare(title: &str, text: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · portreeve" }
                link rel="stylesheet" href="/page.css";
                link rel="icon" href="data:,";
            }
            body { main #main { h1 { (title) } (text) } }
        }
    }
}

/// A column: its head, and whether it holds numbers.
pub(super) struct Column(pub(super) &'static str, pub(super) bool);

/// A table that becomes cards on a narrow screen. `left_off`: rows that are not among these.
pub(super) fn table(columns: &[Column], rows: &[Vec<Markup>], left_off: usize) -> Markup {
    html! {
        table.cards {
            thead { tr { @for c in columns { th.n[c.1] scope="col" { (c.0) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (c, cell) in columns.iter().zip(row) {
                            td.n[c.1] data-label=(c.0) { span { (cell) } }
                        }
                    }
                }
            }
        }
        @if left_off > 0 { p.more { "and " (left_off) " more" } }
    }
}

/// Rows that are shown, and how many are left off.
pub(super) fn bounded<T>(all: &[T], most: usize) -> (&[T], usize) {
    let shown = all.get(..most).unwrap_or(all);
    (shown, all.len() - shown.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_links_nothing_from_elsewhere_and_says_where_one_is() {
        let told = page(Tab::Book, "x<b>", "t", Some("/events?view=book"), &html! {}).into_string();
        assert!(told.contains("x&lt;b&gt;") && !told.contains("<b>"));
        assert!(told.contains("<a href=\"/book\" aria-current=\"page\">Book</a>"));
        assert_eq!(told.matches("aria-current").count(), 1);
        assert!(!told.contains("http:") && !told.contains("https:") && !told.contains("style="));
        assert!(told.contains("data-events=\"/events?view=book\""));
    }

    #[test]
    fn a_table_says_how_many_rows_it_leaves_off() {
        let all: Vec<usize> = (0..7).collect();
        let (shown, left_off) = bounded(&all, 5);
        assert_eq!((shown.len(), left_off), (5, 2));
        let rows: Vec<_> = shown.iter().map(|n| vec![html! { (n) }]).collect();
        let told = table(&[Column("n", true)], &rows, left_off).into_string();
        assert!(told.contains("and 2 more") && told.matches("<td").count() == 5, "{told}");
        assert_eq!(bounded(&all, 9).1, 0);
    }
}
