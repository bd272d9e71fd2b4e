//! `[[subscription]]`: options of a subscription that code defines.

use hence::core::Options;
use hence::core::setting::SETTINGS;

use super::did_you_mean;
use super::reader::{Place, Reader, Table};

/// The options that are set, by name and value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers(Vec<(&'static str, String)>);

impl Numbers {
    /// Sets them.
    pub(super) fn set(&self, options: &mut Options) {
        for (name, value) in &self.0 {
            // Each was tried when it was read.
            let _ = options.set(name, value);
        }
    }
}

pub(super) fn subscription<'a>(
    reader: &mut Reader<'a>,
    place: &Place,
    table: &mut Table<'a>,
    known: &[String],
) -> Option<(String, Numbers)> {
    let id = reader.scalar(table, "id");
    let mut config = reader.table(table, "config");
    let numbers = numbers(reader, &mut config);
    reader.close(config);
    let Some(id) = id else {
        reader.issue(
            place,
            "[[subscription]] needs the 'id' of a subscription that code defines",
        );
        return None;
    };
    let name = id.value.text().unwrap_or_default();
    if known.contains(&name) {
        return Some((name, numbers));
    }
    let near = did_you_mean(&name, known.iter().map(String::as_str));
    let all = known.join(", ");
    let all = if all.is_empty() { "none" } else { &all };
    let message = format!("no code defines a subscription '{name}'{near} (there are: {all})");
    reader.issue(&id.place, message);
    None
}

/// Reads every option that there is, each tried on options of its own.
fn numbers<'a>(reader: &mut Reader<'a>, config: &mut Table<'a>) -> Numbers {
    let mut numbers = Numbers::default();
    let mut read = |reader: &mut Reader<'a>, table: &mut Table<'a>, key, name| {
        let value = reader.read(table, key, |plain| {
            plain.parsed(|text| {
                let tried = Options::default().set(name, text);
                tried.map(|()| text.to_owned())
            })
        });
        numbers.0.extend(value.map(|value| (name, value)));
    };
    let mut done: Vec<&str> = Vec::new();
    for setting in SETTINGS {
        let Some((group, _)) = setting.name.split_once('.') else {
            let parts = SETTINGS.iter().any(|other| {
                other
                    .name
                    .split_once('.')
                    .is_some_and(|(g, _)| g == setting.name)
            });
            // A name that has parts is a table, unless it is switched off.
            if !parts || config.is_text(setting.name) {
                read(reader, config, setting.name, setting.name);
                done.push(setting.name);
            }
            continue;
        };
        if done.contains(&group) {
            continue;
        }
        done.push(group);
        let mut table = reader.table(config, group);
        for part in SETTINGS {
            if let Some((other, key)) = part.name.split_once('.')
                && other == group
            {
                read(reader, &mut table, key, part.name);
            }
        }
        reader.close(table);
    }
    numbers
}
