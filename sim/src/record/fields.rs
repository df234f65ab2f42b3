//! Reads JSON field by field: what is missing, of another kind or not known is said with its place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

/// No machine counts further.
const COUNT_MAX: u64 = 1 << 50;

/// No run takes longer, in seconds: three hundred years, of which sums are times too.
const SECONDS_MAX: f64 = 1e10;

/// What is wrong with a field, and where it stands.
pub(super) type Read<T> = Result<T, String>;

/// An object, and where it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    fields: &'a Map<String, Value>,
    place: String,
    /// The names that were asked for.
    known: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// The whole file.
    pub(super) fn of(value: &'a Value) -> Read<Self> {
        Self::at(value, String::new())
    }

    fn at(value: &'a Value, place: String) -> Read<Self> {
        match value {
            Value::Object(fields) => Ok(Self { fields, place, known: RefCell::default() }),
            other => Err(format!("{} is no object but {}", named(&place), shown(other))),
        }
    }

    fn place_of(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// Takes it that these fields follow from the others, which are read.
    pub(super) fn follow(&self, names: &[&str]) {
        self.known.borrow_mut().extend(names.iter().map(|&name| name.to_owned()));
    }

    /// That there is no field which nobody has asked for.
    pub(super) fn end(&self) -> Read<()> {
        let known = self.known.borrow();
        match self.fields.keys().find(|name| !known.contains(*name)) {
            None => Ok(()),
            Some(name) => {
                Err(format!("{} is nothing that this program writes", self.place_of(name)))
            }
        }
    }

    /// Another object, of which all is read.
    pub(super) fn within<T>(&self, name: &str, read: impl FnOnce(&Self) -> Read<T>) -> Read<T> {
        let fields = self.object(name)?;
        let what = read(&fields)?;
        fields.end()?;
        Ok(what)
    }

    fn value(&self, name: &str) -> Read<&'a Value> {
        self.known.borrow_mut().insert(name.to_owned());
        let value = self.fields.get(name);
        value.ok_or_else(|| format!("there is no {}", self.place_of(name)))
    }

    fn wrong(&self, name: &str, expected: &str, found: &Value) -> String {
        format!("{} is no {expected} but {}", self.place_of(name), shown(found))
    }

    fn object(&self, name: &str) -> Read<Self> {
        Self::at(self.value(name)?, self.place_of(name))
    }

    /// What may be null.
    pub(super) fn maybe<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Self) -> Read<T>,
    ) -> Read<Option<T>> {
        if self.value(name)?.is_null() { Ok(None) } else { read(self).map(Some) }
    }

    pub(super) fn number(&self, name: &str) -> Read<u64> {
        let value = self.value(name)?;
        value.as_u64().ok_or_else(|| self.wrong(name, "whole number", value))
    }

    /// A number of things that were counted: so small that sums of them are numbers too.
    pub(super) fn count(&self, name: &str) -> Read<u64> {
        let count = self.number(name)?;
        let wrong = || self.wrong(name, "count that a run could come to", &Value::from(count));
        (count <= COUNT_MAX).then_some(count).ok_or_else(wrong)
    }

    pub(super) fn flag(&self, name: &str) -> Read<bool> {
        let value = self.value(name)?;
        value.as_bool().ok_or_else(|| self.wrong(name, "yes or no", value))
    }

    pub(super) fn text(&self, name: &str) -> Read<&'a str> {
        let value = self.value(name)?;
        value.as_str().ok_or_else(|| self.wrong(name, "text", value))
    }

    /// A text that stands for something.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Read<T> {
        let text = self.text(name)?;
        text.parse().map_err(|_| self.wrong(name, what, &Value::from(text)))
    }

    /// The one of the values whose name it is.
    pub(super) fn one_of<T>(
        &self,
        name: &str,
        values: impl IntoIterator<Item = T>,
        name_of: impl Fn(&T) -> &'static str,
    ) -> Read<T> {
        let text = self.text(name)?;
        let found = values.into_iter().find(|value| name_of(value) == text);
        found.ok_or_else(|| self.wrong(name, "word that this program knows", &Value::from(text)))
    }

    /// A hash of sixteen hexadecimal digits.
    pub(super) fn hash(&self, name: &str) -> Read<u64> {
        let text = self.text(name)?;
        let hash = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        hash.ok_or_else(|| self.wrong(name, "hash", &Value::from(text)))
    }

    /// A time in seconds.
    pub(super) fn seconds(&self, name: &str) -> Read<Duration> {
        let value = self.value(name)?;
        let seconds = value.as_f64().filter(|seconds| *seconds <= SECONDS_MAX);
        let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        time.ok_or_else(|| self.wrong(name, "time in seconds", value))
    }

    fn items(&self, name: &str) -> Read<&'a [Value]> {
        let value = self.value(name)?;
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.wrong(name, "list", value))
    }

    pub(super) fn numbers(&self, name: &str) -> Read<Vec<u64>> {
        let number = |value: &Value| {
            value.as_u64().ok_or_else(|| self.wrong(name, "list of whole numbers", value))
        };
        self.items(name)?.iter().map(number).collect()
    }

    /// Counts, one after another.
    pub(super) fn counts(&self, name: &str) -> Read<Vec<u64>> {
        let numbers = self.numbers(name)?;
        match numbers.iter().find(|number| **number > COUNT_MAX) {
            None => Ok(numbers),
            Some(number) => Err(self.wrong(name, "list of counts", &Value::from(*number))),
        }
    }

    /// How often each of some numbers occurred.
    pub(super) fn times(&self, name: &str) -> Read<BTreeMap<u64, u64>> {
        let fields = self.object(name)?;
        let entry = |number: &String| {
            let known = number.parse().ok();
            let wrong = || format!("{} is no whole number", fields.place_of(number));
            Ok((known.ok_or_else(wrong)?, fields.count(number)?))
        };
        let times: BTreeMap<u64, u64> = fields.fields.keys().map(entry).collect::<Read<_>>()?;
        let all = times.values().fold(0, |all: u64, times| all.saturating_add(*times));
        let wrong = || self.wrong(name, "counts that a run could come to", &Value::from(all));
        (all <= COUNT_MAX).then_some(times).ok_or_else(wrong)
    }

    pub(super) fn texts(&self, name: &str) -> Read<Vec<String>> {
        let text = |value: &Value| {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| self.wrong(name, "list of texts", value))
        };
        self.items(name)?.iter().map(text).collect()
    }

    /// Objects one after another.
    pub(super) fn objects<T>(
        &self,
        name: &str,
        read: impl Fn(&Fields<'a>) -> Read<T>,
    ) -> Read<Vec<T>> {
        self.objects_by_place(name, |_, fields| read(fields))
    }

    /// The same where it depends on its place what one is.
    pub(super) fn objects_by_place<T>(
        &self,
        name: &str,
        read: impl Fn(usize, &Fields<'a>) -> Read<T>,
    ) -> Read<Vec<T>> {
        let items = self.items(name)?.iter().enumerate();
        let object = |(index, value): (usize, &'a Value)| {
            let fields = Self::at(value, format!("{}[{index}]", self.place_of(name)))?;
            let what = read(index, &fields)?;
            fields.end()?;
            Ok(what)
        };
        items.map(object).collect()
    }

    /// That a table lacks none of some names.
    pub(super) fn has_each(&self, name: &str, names: &[&str]) -> Read<()> {
        let table = self.object(name)?;
        names.iter().try_for_each(|own| table.value(own).map(|_| ()))
    }

    /// Something for each of some names that are known.
    pub(super) fn table<T>(
        &self,
        name: &str,
        known: &[&'static str],
        read: impl Fn(&Fields<'a>, &str) -> Read<T>,
    ) -> Read<BTreeMap<&'static str, T>> {
        let fields = self.object(name)?;
        let entry = |own: &String| {
            let found = known.iter().find(|known| *known == own);
            let known = found.ok_or_else(|| {
                format!("{} is nothing that this program counts", fields.place_of(own))
            })?;
            Ok((*known, read(&fields, own)?))
        };
        fields.fields.keys().map(entry).collect()
    }
}

fn named(place: &str) -> &str {
    if place.is_empty() { "the file" } else { place }
}

/// The first words of a value.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(40).collect();
    if chars.next().is_some() { format!("{head}...") } else { head }
}
