//! The page of the kill table: which wrong engines were found, and after how many images.

use std::fmt::{self, Write};

use serde_json::Value;

use super::charts::share;
use super::markup::Safe;
use super::{Mood, page};
use crate::report::number;

/// The page of a table as `mutants --json` writes it.
pub fn mutants_html(table: &Value) -> String {
    let groups = groups(table);
    let rows = || groups.iter().flat_map(|(_, rows)| rows);
    let (all, missed) = (rows().count(), rows().filter(|row| !row.caught).count());
    let (mood, title) = match (all, missed) {
        (all, 0) if table["cancelled"] == true => {
            (Mood::Doubtful, format!("{all} wrong engines were found, the rest was not tried"))
        }
        (0, _) => (Mood::Doubtful, "No wrong engine was tried".to_owned()),
        (all, 0) => (Mood::Good, format!("All {all} wrong engines were found")),
        (all, missed) => (Mood::Bad, format!("{missed} of {all} wrong engines were not found")),
    };
    let mut images: Vec<u64> =
        rows().filter(|row| row.caught).filter_map(|row| row.images).collect();
    images.sort_unstable();
    let median = images.get(images.len() / 2).copied().unwrap_or(0);
    let worst = images.last().copied().unwrap_or(0);
    let lead = match images.len() {
        0 => "each looked for where it was found before".to_owned(),
        _ => format!(
            "images until the first violation: {} in the median, {} for the one that took most",
            number(median),
            number(worst)
        ),
    };
    page(&title, mood, &lead, |out| {
        groups.iter().try_for_each(|(title, rows)| group(out, title, rows, worst))
    })
}

/// One wrong engine.
struct Row {
    name: String,
    caught: bool,
    /// None where it was known where to look.
    images: Option<u64>,
    invariant: String,
    place: String,
    conditions: Vec<String>,
}

/// Every list of the table that is one of wrong engines.
fn groups(table: &Value) -> Vec<(String, Vec<Row>)> {
    let lists = table.as_object().into_iter().flatten();
    let lists = lists.filter_map(|(name, list)| {
        let rows: Vec<Row> = list.as_array()?.iter().filter_map(row).collect();
        (!rows.is_empty()).then(|| (name.replace('_', " "), rows))
    });
    lists.collect()
}

fn row(value: &Value) -> Option<Row> {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let conditions = value["conditions"].as_array().into_iter().flatten();
    Some(Row {
        name: value["name"].as_str()?.to_owned(),
        caught: value["caught"].as_bool()?,
        images: value["images"].as_u64(),
        invariant: text("invariant"),
        place: text("address"),
        conditions: conditions.filter_map(|one| one.as_str().map(str::to_owned)).collect(),
    })
}

fn group(out: &mut String, title: &str, rows: &[Row], worst: u64) -> fmt::Result {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (row.caught, std::cmp::Reverse(row.images)));
    write!(out, "<section><h2>{} <small>{}</small></h2>", Safe(title), rows.len())?;
    out.push_str(
        "<div class=scroll><table class=mutants><tr><th>wrong engine</th><th>images until it was \
         found</th><th></th><th>invariant</th><th>where</th></tr>",
    );
    for row in rows {
        let Row { name, caught, images, invariant, place, conditions } = row;
        let class = if *caught { "" } else { "missed" };
        write!(out, "<tr class=\"{class}\"><td>{}", Safe(name))?;
        for condition in conditions {
            write!(out, "<br><small>where {}</small>", Safe(condition))?;
        }
        let width = share(images.unwrap_or(0), worst);
        write!(out, "</td><td class=bar><i><u style=\"width:{width}%\"></u></i></td>")?;
        let images = images.map_or_else(|| "known".to_owned(), number);
        write!(out, "<td class=num>{images}</td>")?;
        match caught {
            true => {
                write!(out, "<td>{}</td><td class=path>{}</td></tr>", Safe(invariant), Safe(place))?
            }
            false => out.push_str("<td colspan=2><b>not found</b></td></tr>"),
        }
    }
    out.push_str("</table></div></section>");
    Ok(())
}
