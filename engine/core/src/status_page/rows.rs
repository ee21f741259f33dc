//! Sections and their tables.

use super::html::Html;

/// Adds a section with a table of facts: one row for each.
pub(super) fn facts(html: &mut Html, id: &'static str, title: &'static str, rows: impl FnOnce(&mut Html)) {
    section(html, id, title, "<section aria-labelledby=\"", |html| {
        html.raw("<table class=\"facts\">");
        rows(html);
        html.raw("</table>");
    });
}

/// Adds a section as wide as the page.
pub(super) fn wide(html: &mut Html, id: &'static str, title: &'static str, content: impl FnOnce(&mut Html)) {
    section(html, id, title, "<section class=\"wide\" aria-labelledby=\"", content);
}

fn section(
    html: &mut Html,
    id: &'static str,
    title: &'static str,
    start: &'static str,
    content: impl FnOnce(&mut Html),
) {
    html.raw(start).raw(id).raw("\"><h2 id=\"").raw(id).raw("\">").raw(title).raw("</h2>");
    content(html);
    html.raw("</section>\n");
}

/// Adds a row of a table of facts.
pub(super) fn row(html: &mut Html, name: &'static str, value: impl FnOnce(&mut Html)) {
    html.raw("<tr><th scope=\"row\">").raw(name).raw("</th><td>");
    value(html);
    html.raw("</td></tr>\n");
}

/// Adds a row whose value is a text.
pub(super) fn text_row(html: &mut Html, name: &'static str, value: &str) {
    row(html, name, |html| {
        html.text(value);
    });
}

/// Adds a table with a caption and a head. It scrolls by itself on a narrow screen; for that the keyboard reaches it.
pub(super) fn table(
    html: &mut Html,
    caption: &'static str,
    columns: &[&'static str],
    rows: impl FnOnce(&mut Html),
) {
    html.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"")
        .raw(caption)
        .raw("\"><table><caption>");
    html.raw(caption).raw("</caption><thead><tr>");
    for column in columns {
        html.raw("<th scope=\"col\">").raw(column).raw("</th>");
    }
    html.raw("</tr></thead><tbody>\n");
    rows(html);
    html.raw("</tbody></table></div>\n");
}

/// Adds a cell.
pub(super) fn cell(html: &mut Html, value: &str) {
    html.raw("<td>").text(value).raw("</td>");
}

/// Adds a cell with a number.
pub(super) fn number(html: &mut Html, value: &str) {
    html.raw("<td class=\"number\">").text(value).raw("</td>");
}
